"""The steps that Terraform's OpenStack provider and Kubernetes' cinder-csi take, request by request as they send them.

Both are written in Go over gophercloud, which takes only the status codes that it knows: so the tests name them.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from tests.clouds import Cloud, User
from tests.conformance import guests
from tests.processes import wait_until

COMPUTE, VOLUME = "/compute/v2.1", "/volume/v3"


class Client:
    """Gophercloud's: at a microversion, or at the base one without any."""

    def __init__(self, user: User) -> None:
        self._user = user

    def __call__(
        self, method: str, path: str, body: Any = None, *, code: int | set[int] = 200, version: str | None = None
    ) -> Any:
        headers = {} if version is None else {"OpenStack-API-Version": version}
        answer = self._user.request(method, path, body, headers=headers)
        assert answer.status_code in ({code} if isinstance(code, int) else code), f"{method} {path}: {answer.text}"
        return answer.json() if answer.content else None

    def until(self, path: str, kind: str, wanted: str, *passing: str) -> Any:
        """As its waiters do: any other status than the wanted one and the `passing` ones is a failure."""

        def met() -> Any:
            found = self("GET", path)[kind]
            assert found["status"] in (wanted, *passing), found
            return found if found["status"] == wanted else None

        return wait_until(f"{path} is {wanted}", met)

    def is_gone(self, path: str) -> bool:
        return self._user.request("GET", path).status_code == 404

    def until_gone(self, path: str) -> None:
        wait_until(f"{path} is gone", lambda: self.is_gone(path))


@pytest.fixture(scope="module")
def image_id(cloud: Cloud) -> str:
    return guests.image(cloud, "steps")


@pytest.fixture
def client(demo: User) -> Client:
    return Client(demo)


@pytest.fixture
def flavor_id(client: Client) -> str:
    found = client("GET", f"{COMPUTE}/flavors/detail?is_public=true")["flavors"]
    return next(str(one["id"]) for one in found if one["name"] == "m1.nano")


@pytest.fixture
def server_id(client: Client, image_id: str, flavor_id: str, name: str) -> Iterator[str]:
    """A server whose root is a volume of its own."""
    root = {"boot_index": 0, "delete_on_termination": True, "destination_type": "volume", "source_type": "image",
            "uuid": image_id, "volume_size": 1}  # fmt: skip
    asked = {"name": name, "flavorRef": flavor_id, "imageRef": "", "networks": "auto",
             "block_device_mapping_v2": [root]}  # fmt: skip
    made = client("POST", f"{COMPUTE}/servers", {"server": asked}, code=202, version="compute 2.37")["server"]["id"]
    client.until(f"{COMPUTE}/servers/{made}", "server", "ACTIVE", "BUILD")
    yield made
    client("DELETE", f"{COMPUTE}/servers/{made}", code={204, 404})
    client.until_gone(f"{COMPUTE}/servers/{made}")


def test_terraform_boots_a_server_from_a_volume(client: Client, server_id: str, image_id: str) -> None:
    shown = client("GET", f"{COMPUTE}/servers/{server_id}")["server"]
    assert shown["image"] == ""
    (root,) = shown["os-extended-volumes:volumes_attached"]
    volume = client("GET", f"{VOLUME}/volumes/{root['id']}")["volume"]
    assert volume["volume_image_metadata"]["image_id"] == image_id
    assert (volume["bootable"], volume["attachments"][0]["server_id"]) == ("true", server_id)
    assert client("GET", f"{COMPUTE}/servers/{server_id}/tags", version="compute 2.26") == {"tags": []}


def test_terraform_changes_a_server(client: Client, server_id: str) -> None:
    """name, metadata, tags, power_state"""
    path = f"{COMPUTE}/servers/{server_id}"
    client("PUT", path, {"server": {"name": "renamed"}})
    client("POST", f"{path}/metadata", {"metadata": {"a": "1"}})
    client("DELETE", f"{path}/metadata/a", code=204)
    client("PUT", f"{path}/tags", {"tags": ["t"]}, version="compute 2.52")
    client("POST", f"{path}/action", {"os-stop": None}, code=202)
    client.until(path, "server", "SHUTOFF", "ACTIVE")
    client("POST", f"{path}/action", {"os-start": None}, code=202)
    client.until(path, "server", "ACTIVE", "SHUTOFF")
    shown = client("GET", path, version="compute 2.52")["server"]
    assert (shown["name"], shown["metadata"], shown["tags"]) == ("renamed", {}, ["t"])


def test_terraform_attaches_and_detaches_a_volume(client: Client, server_id: str, name: str) -> None:
    made = client("POST", f"{VOLUME}/volumes", {"volume": {"size": 1, "name": name}}, code=202)["volume"]["id"]
    volume, plugs = f"{VOLUME}/volumes/{made}", f"{COMPUTE}/servers/{server_id}/os-volume_attachments"
    client.until(volume, "volume", "available", "creating", "downloading")
    attachment = client("POST", plugs, {"volumeAttachment": {"volumeId": made}})["volumeAttachment"]
    assert (attachment["id"], attachment["volumeId"], attachment["serverId"]) == (made, made, server_id)
    assert client("GET", f"{plugs}/{made}")["volumeAttachment"]["device"].startswith("/dev/")
    client.until(volume, "volume", "in-use", "available", "attaching")
    # Larger while it is there.
    client("POST", f"{volume}/action", {"os-extend": {"new_size": 2}}, code=202, version="volume 3.42")
    client.until(volume, "volume", "in-use", "extending")
    assert client("GET", volume)["volume"]["size"] == 2
    # It asks again and again until it is gone; 400 is told from other refusals, 409 is a failure.

    def gone() -> bool:
        client("DELETE", f"{plugs}/{made}", code={202, 204, 400, 404})
        return client.is_gone(f"{plugs}/{made}")

    wait_until("the attachment is gone", gone)
    client.until(volume, "volume", "available", "in-use", "detaching")
    client("DELETE", volume, code={202, 204})
    client.until_gone(volume)


def test_terraform_deletes_a_volume_that_a_server_has(client: Client, server_id: str, name: str) -> None:
    made = client("POST", f"{VOLUME}/volumes", {"volume": {"size": 1, "name": name}}, code=202)["volume"]["id"]
    volume, plugs = f"{VOLUME}/volumes/{made}", f"{COMPUTE}/servers/{server_id}/os-volume_attachments"
    client.until(volume, "volume", "available", "creating")
    client("POST", plugs, {"volumeAttachment": {"volumeId": made}})
    client.until(volume, "volume", "in-use", "available", "attaching")
    for attachment in client("GET", volume)["volume"]["attachments"]:
        path = f"{COMPUTE}/servers/{attachment['server_id']}/os-volume_attachments/{attachment['id']}"
        client("DELETE", path, code={202, 204, 404, 409})
    client.until(volume, "volume", "available", "in-use", "detaching")
    client("DELETE", volume, code={202, 204})
    client.until_gone(volume)


def test_terraform_makes_key_pairs_and_flavors(client: Client, cloud: Cloud, name: str) -> None:
    made = client("POST", f"{COMPUTE}/os-keypairs", {"keypair": {"name": name}}, code={200, 201})["keypair"]
    assert made["private_key"].startswith("-----BEGIN")
    assert client("GET", f"{COMPUTE}/os-keypairs/{name}")["keypair"]["public_key"] == made["public_key"]
    client("DELETE", f"{COMPUTE}/os-keypairs/{name}", code={202, 204})
    admin = Client(cloud.user("openrc"))
    asked = {"name": name, "ram": 96, "vcpus": 1, "disk": 0, "os-flavor-access:is_public": False}
    flavor = admin("POST", f"{COMPUTE}/flavors", {"flavor": asked}, code={200, 201})["flavor"]["id"]
    specs = f"{COMPUTE}/flavors/{flavor}/os-extra_specs"
    assert admin("POST", specs, {"extra_specs": {"a": "b"}})["extra_specs"] == {"a": "b"}
    assert admin("GET", specs)["extra_specs"] == {"a": "b"}
    admin("DELETE", f"{COMPUTE}/flavors/{flavor}", code=202)


def test_cinder_csi_provides_a_volume_to_a_node(client: Client, server_id: str) -> None:
    name = f"pvc-{uuid.uuid4()}"
    assert client("GET", f"{VOLUME}/volumes/detail?name={name}", version="volume 3.34")["volumes"] == []
    asked = {"size": 1, "name": name, "metadata": {"cinder.csi.openstack.org/cluster": "kubernetes"},
             "availability_zone": "nova"}  # fmt: skip
    made = client("POST", f"{VOLUME}/volumes", {"volume": asked}, code=202)["volume"]["id"]
    (found,) = client("GET", f"{VOLUME}/volumes/detail?name={name}", version="volume 3.34")["volumes"]
    assert (found["id"], found["size"]) == (made, 1)  # a repeat uses it again
    volume = f"{VOLUME}/volumes/{made}"
    client.until(volume, "volume", "available", "creating")
    # ControllerPublishVolume
    assert client("GET", f"{COMPUTE}/servers/{server_id}")["server"]["status"] == "ACTIVE"
    plugs = f"{COMPUTE}/servers/{server_id}/os-volume_attachments"
    client("POST", plugs, {"volumeAttachment": {"volumeId": made}})
    wait_until(
        "it is attached",
        lambda: [one["server_id"] for one in client("GET", volume)["volume"]["attachments"]] == [server_id],
    )
    # A snapshot of what is in use, and a volume of it.
    body = {"snapshot": {"volume_id": made, "name": f"snapshot-{name}", "force": True, "metadata": {"a": "b"}}}
    snapshot_id = client("POST", f"{VOLUME}/snapshots", body, code=202)["snapshot"]["id"]
    snapshot = f"{VOLUME}/snapshots/{snapshot_id}"
    client.until(snapshot, "snapshot", "available", "creating")
    asked = {"size": 1, "name": f"copy-{name}", "snapshot_id": snapshot_id}
    copy = f"{VOLUME}/volumes/{client('POST', f'{VOLUME}/volumes', {'volume': asked}, code=202)['volume']['id']}"
    client.until(copy, "volume", "available", "creating")
    # ControllerExpandVolume
    client("POST", f"{volume}/action", {"os-extend": {"new_size": 2}}, code=202, version="volume 3.42")
    client.until(volume, "volume", "in-use", "extending")
    # ControllerUnpublishVolume, and the end of all
    client("DELETE", f"{plugs}/{made}", code=202)
    client.until(volume, "volume", "available", "in-use", "detaching")
    client("DELETE", snapshot, code=202)
    client.until_gone(snapshot)
    for path in (copy, volume):
        client("DELETE", path, code=202)
        client.until_gone(path)


def test_cinder_csi_is_told_of_a_quota(client: Client, cloud: Cloud) -> None:
    """413, which it knows as ResourceExhausted."""
    made = client("POST", f"{VOLUME}/volumes", {"volume": {"size": 1, "name": "enough"}}, code=202)["volume"]["id"]
    volume, admin = f"{VOLUME}/volumes/{made}", cloud.user("openrc")
    project_id = client.until(volume, "volume", "available", "creating")["os-vol-tenant-attr:tenant_id"]
    quota = f"/volume/v3/os-quota-sets/{project_id}"
    admin.ask("PUT", quota, {"quota_set": {"per_volume_gigabytes": 1}})
    try:
        client("POST", f"{VOLUME}/volumes", {"volume": {"size": 2, "name": "too-much"}}, code=413)
    finally:
        admin.ask("DELETE", quota)
    client("DELETE", volume, code=202)
    client.until_gone(volume)
