"""Each rule and field of `since.py` appears exactly from its version on: not in the version before."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import sqlalchemy as sa
from tests.api.compute.conftest import BASE, NOBODY, PROJECT, As, Client
from tests.api.probes import Case, Probe, Probes
from tests.api.whole import PUBLIC_KEY

from cyclades.api.compute import since
from cyclades.api.compute.service import VERSIONS
from cyclades.api.http.versions import Version
from cyclades.model.nics import NETWORK_ID
from cyclades.store import backends, services
from cyclades.store.database import Database, Tx
from cyclades.store.schema import now, operation, server

New = Callable[..., Awaitable[str]]

_probes = Probes(BASE)
_has, _value, _number, _code, _says = _probes.has, _probes.value, _probes.number, _probes.code, _probes.says
SERVER, ACTION = "servers/{server}", "servers/{server}/action"
ACTIONS = "servers/{server}/os-instance-actions"
PLUGS = "servers/{server}/os-volume_attachments"
DISK = {"source_type": "blank", "destination_type": "volume", "volume_size": 1}
ROOT = {"source_type": "image", "destination_type": "local", "uuid": "{image}", "boot_index": 0}


def _new(**values: Any) -> dict[str, Any]:
    return {"server": {"name": "n", "flavorRef": "1", "imageRef": "{image}", "networks": "auto", **values}}


def _before_auto(**values: Any) -> dict[str, Any]:
    """A server as it could be asked for before 2.37, and after."""
    return _new(networks=[{"uuid": "{network}"}], **values)


def _tagged() -> dict[str, Any]:
    return _new(networks=[{"uuid": "{network}", "tag": "t"}])


def _image() -> Probe:
    """Whether the answer has the new image's id."""

    async def probe(who: Client, ids: dict[str, str]) -> bool:
        before_it = who.headers["openstack-api-version"].endswith("2.44")  # each takes one server
        body = {"createImage": {"name": "i"}}
        which = ids["server"] if before_it else ids["imaged"]
        answer = await who.post(f"{BASE}/servers/{which}/action", json=body)
        return "image_id" in answer.text and "location" not in answer.headers

    return probe


async def _attached(who: Client, ids: dict[str, str]) -> int:
    which = ids["free"] if who.headers["openstack-api-version"].endswith("2.100") else ids["free, too"]
    path = f"{BASE}/servers/{ids['imaged' if which == ids['free'] else 'server']}/os-volume_attachments"
    return (await who.post(path, json={"volumeAttachment": {"volumeId": which}})).status_code


def _created(*keys: str) -> Probe:
    """Whether the answer to an update has a field."""

    async def probe(who: Client, ids: dict[str, str]) -> bool:
        answer = await who.put(f"{BASE}/servers/{ids['server']}", json={"server": {"name": "new"}})
        return keys[-1] in answer.json()["server"]

    return probe


KEY = {"keypair": {"name": "k", "public_key": PUBLIC_KEY}}
CASES = [
    Case(since.KEYPAIR_TYPE, "key pair made", _code("POST", "os-keypairs", KEY), 200, 409),
    Case(since.KEYPAIR_TYPE, "key pair's type", _has("os-keypairs/mine", "keypair", "type"), False, True, "member"),
    Case(since.SERVER_ATTRIBUTES, "attributes", _has(SERVER, "server", "OS-EXT-SRV-ATTR:launch_index"), False, True),
    Case(since.SERVER_ATTRIBUTES, "volumes' delete_on_termination", _has(
        SERVER, "server", "os-extended-volumes:volumes_attached", "0", "delete_on_termination"), False, True),
    Case(since.IP6_FILTER, "ip6", _number("servers?ip6=fe80"), 2, 0),
    Case(since.REMOTE_CONSOLES, "consoles", _code("POST", "servers/{server}/remote-consoles", {}), 404, 400),
    Case(since.REMOTE_CONSOLES, "older consoles", _code("POST", ACTION, {"os-getVNCConsole": {}}), 400, 404),
    Case(since.PUBLIC_FLAVOR_ACCESS_REFUSED, "access to a public flavor", _code(
        "POST", "flavors/1/action", {"addTenantAccess": {"tenant": PROJECT}}), 200, 409),
    Case(since.SERVER_LOCKED, "locked", _has(SERVER, "server", "locked"), False, True),
    Case(since.KEYPAIR_USER_ID, "others' key pairs", _number(f"os-keypairs?user_id={NOBODY}", "keypairs"), 1, 0),
    Case(since.SERVICE_FORCED_DOWN, "forced_down", _has("os-services", "services", "0", "forced_down"), False, True),
    Case(since.SERVER_HOST_STATUS, "host_status", _has(SERVER, "server", "host_status"), False, True),
    Case(since.CRASH_DUMP, "crash dump", _code("POST", ACTION, {"trigger_crash_dump": None}), 404, 403),
    Case(since.SERVER_DESCRIPTION, "description", _has(SERVER, "server", "description"), False, True),
    Case(since.SERVER_DESCRIPTION, "described when made", _code("POST", "servers", _before_auto(description="d")),
         400, 202),
    Case(since.ACTIONS_OF_DELETED, "actions of a server that is gone", _code(
        "GET", "servers/{gone}/os-instance-actions"), 404, 200),
    Case(since.MIGRATIONS_OF_SERVER, "migrations", _code("GET", "servers/{server}/migrations"), 404, 200),
    Case(since.SERVER_TAGS, "tags", _has(SERVER, "server", "tags"), False, True),
    Case(since.SERVER_TAGS, "tags apart", _code("GET", "servers/{server}/tags"), 404, 200),
    Case(since.SERVER_TAGS, "tags filter", _number("servers?tags=none"), 2, 0),
    Case(since.HYPERVISOR_CPU_OBJECT, "cpu_info", _value("os-hypervisors/1", "hypervisor", "cpu_info"), "", {}),
    Case(since.FIRST_DEVICE_TAGS, "disk's tag", _code(
        "POST", "servers", _before_auto(block_device_mapping_v2=[ROOT, {**DISK, "tag": "t"}])), 400, 202),
    Case(since.FIRST_DEVICE_TAGS, "interface's tag", _code("POST", "servers", _tagged()), 400, 202),
    Case(since.HYPERVISOR_PAGES, "disk's tag again", _code(
        "POST", "servers", _before_auto(block_device_mapping_v2=[ROOT, {**DISK, "tag": "t"}])), 202, 400),
    Case(since.HYPERVISOR_PAGES, "hypervisors' pages", _number("os-hypervisors?limit=0", "hypervisors"), 1, 0),
    Case(since.KEYPAIR_PAGES, "key pairs' pages", _number("os-keypairs?limit=0", "keypairs"), 1, 0),
    Case(since.NETWORK_PROXIES_GONE, "os-volumes", _code("GET", "os-volumes"), 200, 404),
    Case(since.NETWORK_PROXIES_GONE, "floating ips", _has("limits", "limits", "absolute", "maxTotalFloatingIps"), True,
         False),
    Case(since.NETWORKS_REQUIRED, "networks auto", _code("POST", "servers", _new()), 400, 202),
    Case(since.NETWORKS_REQUIRED, "interface's tag again", _code("POST", "servers", _tagged()), 202, 400),
    Case(since.UNKNOWN_STATUS_REFUSED, "unknown status", _code("GET", "servers?status=asleep"), 200, 400),
    Case(since.IMAGE_PROXIES_GONE, "metadata of images", _code("GET", "images/{image}/metadata"), 200, 404),
    Case(since.IMAGE_PROXIES_GONE, "maxImageMeta", _has("limits", "limits", "absolute", "maxImageMeta"), True, False),
    Case(since.USAGE_PAGES, "usage's pages", _number("os-simple-tenant-usage?limit=0", "tenant_usages"), 1, 0),
    Case(since.DEVICE_TAGS, "disk's tag at last", _code(
        "POST", "servers", _new(block_device_mapping_v2=[ROOT, {**DISK, "tag": "t"}])), 400, 202),
    Case(since.DEVICE_TAGS, "interface's tag at last", _code("POST", "servers", _tagged()), 400, 202),
    Case(since.HOSTS_GONE, "hosts", _code("GET", "os-hosts"), 200, 404),
    Case(since.ADDRESS_ACTIONS_GONE, "addresses", _says("POST", ACTION, {"addFixedIp": {}}, "not-offered"), True,
         False),
    Case(since.IMAGE_ID_ANSWERED, "new image", _image(), False, True),
    Case(since.SERVER_FLAVOR_INSIDE, "flavor", _has(SERVER, "server", "flavor", "original_name"), False, True),
    Case(since.ATTACH_WITH_TAG, "tag of an attachment", _code(
        "POST", PLUGS, {"volumeAttachment": {"volumeId": "{free}", "tag": "t"}}), 400, 200),
    Case(since.QUOTA_PROXIES_GONE, "quota class", _has(
        "os-quota-class-sets/default", "quota_class_set", "floating_ips"), True, False),
    Case(since.ACTION_EVENTS_FOR_ALL, "events", _has(
        f"{ACTIONS}/{{request}}", "instanceAction", "events"), False, True, "member"),
    Case(since.SERVER_TAGS_AT_CREATION, "tagged when made", _code("POST", "servers", _new(tags=["t"])), 400, 202),
    Case(since.HOST_UUIDS, "hypervisor by number", _code("GET", "os-hypervisors/1"), 200, 404),
    Case(since.HOST_UUIDS, "services by name", _code(
        "PUT", "os-services/enable", {"host": "local", "binary": "nova-compute"}), 200, 404),
    Case(since.FLAVOR_DESCRIPTION, "flavor's description", _has("flavors/1", "flavor", "description"), False, True),
    Case(since.FLAVOR_DESCRIPTION, "flavor's update", _code(
        "PUT", "flavors/1", {"flavor": {"description": "d"}}), 404, 200),
    Case(since.PERSONALITY_GONE, "files", _code("POST", "servers", _new(personality=[])), 202, 400),
    Case(since.PERSONALITY_GONE, "files' limit", _has("limits", "limits", "absolute", "maxPersonality"), True, False),
    Case(since.ACTION_PAGES, "actions' pages", _number(f"{ACTIONS}?limit=0", "instanceActions"), 1, 0),
    Case(since.ACTION_PAGES, "updated_at", _has(ACTIONS, "instanceActions", "0", "updated_at"), False, True),
    Case(since.FLAVOR_EXTRA_SPECS, "flavor's extra specs", _has("flavors/1", "flavor", "extra_specs"), False, True),
    Case(since.ACTION_EVENT_HOST, "event's host", _has(
        f"{ACTIONS}/{{request}}", "instanceAction", "events", "0", "hostId"), False, True),
    Case(since.SERVER_TRUSTED_CERTIFICATES, "certificates", _has(
        SERVER, "server", "trusted_image_certificates"), False, True),
    Case(since.CHANGES_BEFORE, "changes-before", _number("servers?changes-before=1999-01-01T00:00:00Z"), 2, 0),
    Case(since.BLOCK_DEVICE_VOLUME_TYPE, "disk's type", _code(
        "POST", "servers", _new(block_device_mapping_v2=[ROOT, {**DISK, "volume_type": "standard"}])), 400, 202),
    Case(since.ATTACHMENT_TAG, "attachment's tag", _has(PLUGS, "volumeAttachments", "0", "tag"), False, True),
    Case(since.SERVER_GROUPS, "server_groups", _has(SERVER, "server", "server_groups"), False, True),
    Case(since.SERVER_LOCKED_REASON, "locked_reason", _has(SERVER, "server", "locked_reason"), False, True),
    Case(since.SERVER_LOCKED_REASON, "lock's body", _code("POST", ACTION, {"lock": {"colour": "red"}}), 202, 400),
    Case(since.SERVER_LOCKED_REASON, "locked filter", _number("servers?locked=true"), 2, 0),
    Case(since.SERVER_HOST_ASKED, "host asked for", _code("POST", "servers", _new(host="local")), 400, 202),
    Case(since.UNKNOWN_QUERY_REFUSED, "unknown query", _code("GET", "servers?colour=red"), 200, 400),
    Case(since.UPDATE_SHOWS_ALL, "update", _created("key_name"), False, True),
    Case(since.FLAVOR_SWAP_NUMBER, "swap", _value("flavors/1", "flavor", "swap"), "", 0),
    Case(since.ATTACHMENT_DELETE_ON_TERMINATION, "attachment's delete_on_termination", _has(
        PLUGS, "volumeAttachments", "0", "delete_on_termination"), False, True),
    Case(since.SERVER_FILTERS_FOR_ALL, "users' filters", _number("servers?vm_state=error"), 2, 0, "member"),
    Case(since.ACTION_EVENT_DETAILS, "event's details", _has(
        f"{ACTIONS}/{{request}}", "instanceAction", "events", "0", "details"), False, True),
    Case(since.ATTACHMENT_CHANGED, "attachment changed", _code(
        "PUT", f"{PLUGS}/{{plugged}}", {"volumeAttachment": {"volumeId": "{plugged}", "delete_on_termination": True}}),
        400, 202),
    Case(since.HYPERVISOR_UPTIME_INSIDE, "statistics", _code("GET", "os-hypervisors/statistics"), 200, 404),
    Case(since.HYPERVISOR_UPTIME_INSIDE, "uptime", _has("os-hypervisors/detail", "hypervisors", "0", "uptime"), False,
         True),
    Case(since.ATTACHMENT_OWN_ID, "attachment_id", _has(PLUGS, "volumeAttachments", "0", "attachment_id"), False, True),
    Case(since.SERVER_HOSTNAME, "hostname", _has(SERVER, "server", "OS-EXT-SRV-ATTR:hostname"), False, True, "member"),
    Case(since.KEYPAIR_GIVEN_ONLY, "key pair without a key", _code(
        "POST", "os-keypairs", {"keypair": {"name": "new"}}), 201, 400),
    Case(since.HOSTNAME_WITH_DOMAIN, "hostname with a domain", _code("POST", "servers", _new(hostname="a.b")), 400,
         202),
    Case(since.SERVER_PINNED_ZONE, "pinned zone", _has(SERVER, "server", "pinned_availability_zone"), False, True),
    Case(since.SERVER_IMAGE_PROPERTIES, "image's properties", _has(
        "servers/{imaged}", "server", "image", "properties"), False, True),
    Case(since.SERVER_SCHEDULER_HINTS, "scheduler_hints", _has(SERVER, "server", "scheduler_hints"), False, True),
    Case(since.ATTACH_WITHOUT_BODY, "attached", _attached, 200, 202),
]  # fmt: skip


@pytest.fixture
async def ids(database: Database, speaking_as: As, new_server: New, new_volume: New, image_id: str) -> dict[str, str]:
    """A server with two volumes, one from an image, one that is gone; a volume that is free; what engines wrote."""
    root, plugged = await new_volume(bootable=True), await new_volume()
    mapping = [
        {"source_type": "volume", "destination_type": "volume", "uuid": volume_id, "boot_index": index}
        for volume_id, index in ((root, 0), (plugged, None))
    ]
    mine = await new_server(imageRef="", block_device_mapping_v2=mapping)
    imaged, gone = await new_server(), await new_server()
    body = {"keypair": {"name": "mine", "public_key": PUBLIC_KEY}}
    assert (await speaking_as().post(f"{BASE}/os-keypairs", json=body)).status_code == 201

    def write(tx: Tx) -> None:
        tx.execute(server.update().where(server.c.id == gone).values(deleted_at=now(), status="DELETED"))
        about = {"kind": "local", "vcpus": 8, "memory": 4096, "program": "QEMU", "version": 7002001}
        backends.report(tx, "local", booted_at=1, **about)
        services.seen(tx, "h:1:a", host="h", kind="engine", version="1")

    await database.write(write)
    request = sa.select(operation.c.request_id).where(operation.c.resource_id == mine)
    found = {"server": mine, "imaged": imaged, "gone": gone, "image": image_id, "plugged": plugged}
    found["network"] = NETWORK_ID
    found |= {"free": await new_volume(), "free, too": await new_volume()}
    found["request"] = await database.read(lambda tx: tx.execute(request).scalars().one())
    return found


@pytest.mark.parametrize("case", CASES, ids=[f"{case.version} {case.what}" for case in CASES])
async def test_it_is_there_from_its_version_on(speaking_as: As, ids: dict[str, str], case: Case) -> None:
    before = Version(case.version.major, case.version.minor - 1)
    seen = [await case.probe(speaking_as(PROJECT, case.who, version=str(v)), ids) for v in (before, case.version)]
    assert seen == [case.old, case.new]


def test_every_version_is_accounted_for() -> None:
    """A version changed something that we have, and then a case proves it, or it is said why it did not."""
    ours = {value for value in vars(since).values() if isinstance(value, Version)}
    proved = {case.version for case in CASES} | {VERSIONS.least}
    assert ours == proved
    assert not ours & set(since.NOT_OURS)
    every = {Version(2, minor) for minor in range(1, VERSIONS.most.minor + 1)}
    assert every == ours | set(since.NOT_OURS)
