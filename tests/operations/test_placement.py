"""Which backend a server runs on, and what it can have there: rules alone, over rows as engines and operators write
them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cyclades.config import PoolSettings, ProviderSettings, Settings, load
from cyclades.model.caller import Caller
from cyclades.model.capabilities import POOL_SPEC, PROVIDER_SPEC, TEMPLATE_SPEC
from cyclades.model.errors import Invalid, Refusal, WrongState
from cyclades.operations import (
    server_create,
    snapshot_create,
    volume_attach,
    volume_create,
    volume_create_attached,
    volume_delete,
    volume_detach,
    volume_extend,
    volume_retype,
    volume_upload,
)
from cyclades.operations.base import new_id
from cyclades.operations.block_device import Disk
from cyclades.operations.image_create import Wanted as WantedImage
from cyclades.operations.new_volume import Wanted
from cyclades.operations.server_create import Asked
from cyclades.store import (
    attachments,
    backend_disks,
    backends,
    clusters,
    flavors,
    operations,
    schema,
    servers,
    volume_types,
    volumes,
)
from cyclades.store.database import Database, Tx

CALLER = Caller("u" * 32, "p" * 32, frozenset({"admin", "member"}), "req-1")
TYPES = {
    "pooled": {},
    "elsewhere": {POOL_SPEC: "second"},
    "file": {TEMPLATE_SPEC: "file"},
    "sharedfile": {TEMPLATE_SPEC: "sharedfile"},
    "theirs": {PROVIDER_SPEC: "theirs"},
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = load(None, {}, data=str(tmp_path))
    settings.pools = (PoolSettings("local"), PoolSettings("second"))
    settings.providers = (ProviderSettings("theirs"),)
    return settings


class Cloud:
    """This machine, and what a test adds."""

    def __init__(self, db: Database, settings: Settings) -> None:
        self.db, self.settings = db, settings
        self.do(self._prepare)

    def do(self, change: Callable[[Tx], Any]) -> Any:
        return self.db.write_now(change)

    def _prepare(self, tx: Tx) -> None:
        for name, specs in TYPES.items():
            default = {"is_public": True, "is_default": name == "pooled"}
            volume_types.add(tx, new_id(), name=name, extra_specs=specs, **default)
        values = {"name": "f", "vcpus": 1, "ram": 512, "disk": 1, "is_public": True, "extra_specs": {}}
        flavors.add(tx, "f", **values)

    def cluster(self, name: str, *, memory: int = 8192, pools: tuple[str, ...] = ("local",), **found: Any) -> None:
        """One that an engine has looked at, with so much memory (MiB) free."""

        def add(tx: Tx) -> None:
            way = {"url": "https://127.0.0.1:5080", "user": "u", "password": b"", "certificate": ""}
            clusters.add(tx, name, **way, pools=list(pools), options={"providers": ["theirs"]})
            seen = {"vcpus": 1, "memory": memory, "program": "Ganeti", "version": 3_001_000, "memory_free": memory}
            templates = {"disk_templates": ["ext", "file", "sharedfile", "diskless"]}
            backends.report(tx, name, kind="ganeti", **seen | templates | found)

        self.do(add)

    def volume(self, type_name: str = "pooled", **values: Any) -> str:
        """One that is there, and bootable."""

        def add(tx: Tx) -> str:
            made = volume_create.start(tx, CALLER, self.settings, Wanted(size=1, type=type_name))
            self._settle(tx)
            volumes.change(tx, made, status="available", bootable=True, operation_id=None, **values)
            return made

        return str(self.do(add))

    def server(self, root: str | None = None, *, power: str = "running", **asked: Any) -> str:
        """One that runs, from this volume or one that it gets."""
        disks = (Disk(volume_id=root or self.volume(), boot_index=0),)

        def add(tx: Tx) -> str:
            wanted = Asked(name="s", flavor_id="f", disks=disks, **asked)
            made = server_create.start(tx, CALLER, self.settings, wanted)
            self._settle(tx)
            servers.change(tx, made, status="ACTIVE", power=power, task_state=None, operation_id=None)
            for row in attachments.of_server(tx, made):
                attachments.change(tx, row.id, status="attached", operation_id=None)
                volumes.change(tx, row.volume_id, status="in-use", operation_id=None)
            return made

        return str(self.do(add))

    def _settle(self, tx: Tx) -> None:
        """As an engine would."""
        for row in operations.open_ones(tx):
            token = row.lease_token
            operations.end(tx, row.id, token, state="done", reason=None)

    def backend_of(self, server_id: str) -> str:
        return str(self.db.read_now(lambda tx: servers.get(tx, server_id, None)).backend)

    def attach(self, server_id: str, volume_id: str, **values: Any) -> None:
        self.do(lambda tx: volume_attach.start(tx, CALLER, server_id, volume_id, **values))

    def realise(self, volume_id: str, backend: str) -> None:
        """A cluster has made its disk, and keeps it."""
        values = {"server_id": None, "template": "sharedfile", "size": 1 << 30, "generation": 1, "held": False}
        self.do(lambda tx: backend_disks.saw(tx, backend, new_id(), volume_id=volume_id, **values))


@pytest.fixture
def cloud(database: Database, settings: Settings) -> Cloud:
    return Cloud(database, settings)


def test_a_cloud_of_one_machine_needs_no_look_at_it(cloud: Cloud) -> None:
    assert cloud.backend_of(cloud.server()) == "local"


def test_the_cluster_with_the_most_memory_free_gets_it_as_long_as_it_has_some(cloud: Cloud) -> None:
    cloud.settings.backends = ()
    cloud.cluster("small", memory=1024)
    cloud.cluster("large", memory=1536)
    # Those that were accepted since the look count, too: 1536, 1024, 1024 (by name), 512, 512.
    found = sorted(cloud.backend_of(cloud.server()) for _ in range(5))
    assert found == ["large"] * 3 + ["small"] * 2
    with pytest.raises(WrongState, match="memory free") as refused:
        cloud.server()
    assert refused.value.rule == "backend-full"


def test_a_backend_has_to_reach_every_volume(cloud: Cloud) -> None:
    cloud.cluster("c1", pools=("second",))
    assert cloud.backend_of(cloud.server(cloud.volume("elsewhere"), host="c1")) == "c1"
    assert cloud.backend_of(cloud.server(cloud.volume("sharedfile"))) == "c1"  # this machine has no such disks
    with pytest.raises(Invalid, match="does not have the pool local") as refused:
        cloud.server(cloud.volume(), host="c1")
    assert refused.value.rule == "backend-reach"
    with pytest.raises(Invalid, match="c9 could not be found"):
        cloud.server(host="c9")


def test_ganeti_3_0_gets_no_disk_that_it_could_not_attach_again(cloud: Cloud) -> None:
    cloud.settings.providers = (ProviderSettings("theirs", detaches=True),)
    cloud.cluster("old", version=3_000_002)
    with pytest.raises(Invalid, match="does not have the disk template ext/theirs of volume") as refused:
        cloud.server(cloud.volume("theirs"), host="old")
    assert refused.value.rule == "backend-reach"
    cloud.cluster("new")
    assert cloud.backend_of(cloud.server(cloud.volume("theirs"))) == "new"


@pytest.mark.parametrize(
    ("why", "words"), [("offline", "offline"), ("drained", "disabled \\(spring\\)"), ("wipes", "would wipe")]
)
def test_a_closed_backend_takes_no_new_servers(cloud: Cloud, why: str, words: str) -> None:
    cloud.cluster("c1", problem="it would wipe disks" if why == "wipes" else None)
    if why == "offline":
        cloud.do(lambda tx: clusters.change(tx, "c1", offline=True))
    elif why == "drained":
        cloud.do(lambda tx: backends.change(tx, "c1", enabled=False, disabled_reason="spring"))
    with pytest.raises(WrongState, match=words):
        cloud.server(host="c1")
    assert cloud.backend_of(cloud.server()) == "local"


def test_a_cluster_that_nobody_has_reached_yet(cloud: Cloud) -> None:
    cloud.cluster("c1")
    cloud.do(lambda tx: tx.execute(schema.backend.delete()))
    with pytest.raises(WrongState, match="no engine has reached it"):
        cloud.server(host="c1")


@pytest.mark.parametrize("learned", [{"user_data": "aGk="}, {"config_drive": True}])
def test_what_a_guest_is_to_learn_it_learns_on_this_machine_alone(cloud: Cloud, learned: dict[str, Any]) -> None:
    cloud.cluster("c1", memory=1 << 20)
    assert cloud.backend_of(cloud.server(**learned)) == "local"
    with pytest.raises(Invalid) as refused:
        cloud.server(host="c1", **learned)
    assert refused.value.rule == "config-drive-on-ganeti"


def test_a_disk_that_a_cluster_made_stays_there(cloud: Cloud) -> None:
    cloud.cluster("c1")
    cloud.cluster("c2")
    volume_id = cloud.volume("sharedfile")
    cloud.realise(volume_id, "c1")
    with pytest.raises(Invalid, match="made by backend c1"):
        cloud.attach(cloud.server(cloud.volume("sharedfile"), host="c2"), volume_id)
    with pytest.raises(Invalid, match="made by backend c1"):
        cloud.server(volume_id, host="c2")
    cloud.attach(cloud.server(cloud.volume("sharedfile"), host="c1"), volume_id)


def test_volumes_and_servers_of_different_templates_do_not_mix(cloud: Cloud) -> None:
    cloud.cluster("c1")
    with pytest.raises(Invalid) as refused:
        cloud.attach(cloud.server(host="c1"), cloud.volume("sharedfile"))
    assert refused.value.rule == "one-disk-template"


def test_what_is_read_only_is_not_for_ganeti(cloud: Cloud) -> None:
    cloud.cluster("c1")
    server_id = cloud.server(host="c1")
    for volume_id, mode in ((cloud.volume(), "ro"), (cloud.volume(readonly=True), "rw")):
        with pytest.raises(Invalid) as refused:
            cloud.attach(server_id, volume_id, mode=mode)
        assert refused.value.rule == "read-only-on-ganeti"
    with pytest.raises(Invalid, match="read-only"):
        cloud.server(cloud.volume(readonly=True), host="c1")
    cloud.attach(cloud.server(host="local"), cloud.volume(readonly=True))


def test_a_volume_that_lives_on_its_server(cloud: Cloud) -> None:
    cloud.cluster("c1")
    with pytest.raises(Invalid) as refused:
        cloud.volume("file")
    assert refused.value.rule == "server-required"
    server_id = cloud.server(cloud.volume("sharedfile"), host="c1")
    wanted = Wanted(size=1, type="file")
    with pytest.raises(Invalid, match="one disk template"):
        cloud.do(lambda tx: volume_create_attached.start(tx, CALLER, cloud.settings, wanted, server_id))


def a_bound_volume(cloud: Cloud) -> tuple[str, str]:
    """A server whose disks are of the template `file`, and its second volume."""
    cloud.cluster("c1")
    empty = Disk(new=Wanted(size=1, type="file"), delete_on_termination=True)
    root = Disk(new=Wanted(size=1, type="file"), boot_index=0, delete_on_termination=True)

    def add(tx: Tx) -> tuple[str, str]:
        made = server_create.start(tx, CALLER, cloud.settings, Asked(name="s", flavor_id="f", disks=(root, empty)))
        cloud._settle(tx)
        servers.change(tx, made, status="SHUTOFF", power="stopped", task_state=None, operation_id=None)
        for row in attachments.of_server(tx, made):
            attachments.change(tx, row.id, status="attached", operation_id=None)
            volumes.change(tx, row.volume_id, status="in-use", operation_id=None)
        return made, attachments.of_server(tx, made)[1].volume_id

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server_create, "_require_bootable", lambda *_: None)  # an empty root boots nothing
        found: tuple[str, str] = cloud.do(add)
    return found


def test_it_is_never_detached_and_goes_when_it_is_deleted(cloud: Cloud) -> None:
    server_id, volume_id = a_bound_volume(cloud)
    with pytest.raises(Invalid) as refused:
        cloud.do(lambda tx: volume_detach.start(tx, CALLER, server_id, volume_id))
    assert refused.value.rule == "detach-server-bound"
    root = cloud.db.read_now(lambda tx: attachments.of_server(tx, server_id))[0].volume_id
    with pytest.raises(Invalid, match="root disk"):
        cloud.do(lambda tx: volume_delete.start(tx, CALLER, root))
    cloud.do(lambda tx: volume_delete.start(tx, CALLER, volume_id))
    assert cloud.db.read_now(lambda tx: volumes.get(tx, volume_id, None)).status == "deleting"
    [operation] = cloud.db.read_now(operations.open_ones)
    assert operation.kind == "volume_remove"


def test_it_ends_with_its_server(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud.cluster("c1")
    monkeypatch.setattr(server_create, "_require_bootable", lambda *_: None)
    root = Disk(new=Wanted(size=1, type="file"), boot_index=0, delete_on_termination=True)
    asked = Asked(name="s", flavor_id="f", disks=(root, Disk(new=Wanted(size=1, type="file"))))
    with pytest.raises(Invalid, match="ends with it"):
        cloud.do(lambda tx: server_create.start(tx, CALLER, cloud.settings, asked))


def test_what_only_pools_can(cloud: Cloud) -> None:
    cloud.cluster("c1")
    volume_id, settings = cloud.volume("sharedfile"), cloud.settings
    image = WantedImage(name="i", disk_format="raw", container_format="bare")
    about: dict[str, Any] = {"name": None, "description": None, "metadata": {}, "in_use": True}
    for start in (
        lambda tx: snapshot_create.start(tx, CALLER, settings, volume_id, **about),
        lambda tx: volume_create.start(tx, CALLER, settings, Wanted(source="volume", source_id=volume_id)),
        lambda tx: volume_upload.start(tx, CALLER, settings, volume_id, image, in_use=False),
        lambda tx: volume_retype.start(tx, CALLER, settings, volume_id, "pooled", may_move=True),
    ):
        with pytest.raises(Invalid) as refused:
            cloud.do(start)
        assert refused.value.rule.startswith(("capability-", "template-")), refused.value.rule


def test_a_snapshot_in_use_on_ganeti_waits_for_rest(cloud: Cloud) -> None:
    cloud.cluster("c1")
    about: dict[str, Any] = {"name": None, "description": None, "metadata": {}, "in_use": True}
    for host, power, refused in (("c1", "running", True), ("c1", "stopped", False), ("local", "running", False)):
        volume_id = cloud.volume()
        cloud.server(volume_id, host=host, power=power)
        for start in (
            lambda tx, v=volume_id: snapshot_create.start(tx, CALLER, cloud.settings, v, **about),
            lambda tx, v=volume_id: volume_create.start(
                tx, CALLER, cloud.settings, Wanted(source="volume", source_id=v)
            ),
        ):
            if not refused:
                cloud.do(start)
                continue
            with pytest.raises(WrongState) as wrong:
                cloud.do(start)
            assert wrong.value.rule == "snapshot-in-use-on-ganeti"


def test_a_detached_disk_of_a_cluster_is_not_extended(cloud: Cloud) -> None:
    cloud.cluster("c1")
    fresh, made = cloud.volume("sharedfile"), cloud.volume("sharedfile")
    cloud.realise(made, "c1")
    with pytest.raises(Refusal) as refused:
        cloud.do(lambda tx: volume_extend.start(tx, CALLER, cloud.settings, made, 2))
    assert refused.value.rule == "extend-detached-template"
    cloud.do(lambda tx: volume_extend.start(tx, CALLER, cloud.settings, fresh, 2))
