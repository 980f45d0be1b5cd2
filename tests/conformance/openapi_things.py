"""What there is in a cloud whose API schemathesis tries: without it, nearly all that it asks for is not there.

`openapi_hooks.py` puts their ids into its requests.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from tests.api.whole import PUBLIC_KEY
from tests.clouds import User
from tests.processes import wait_until

from cyclades.api.image.attributes import READ_ONLY, RESERVED
from cyclades.model.names import unmanaged_disk

Things = dict[str, Sequence[Any]]

POOLS = ("local", "second")
_VOLUME, _COMPUTE = "/volume/v3", "/compute/v2.1"
_NEWEST = {"OpenStack-API-Version": "volume 3.71"}
_PASSWORD = "of the test"
_DATA = b"0123456789abcdef" * 4096

# Parameter or field of a body → which things it may name.
FED = {
    # Of Block Storage.
    "path.volume_id": "volumes",
    "path.snapshot_id": "snapshots",
    "path.type_id": "types",
    "path.attachment_id": "attachments",
    "path.message_id": "messages",
    "path.transfer_id": "transfers",
    "path.project_id": "projects",
    "path.host": "hosts",
    "path.hypervisor": "hypervisors",
    "path.class_name": "classes",
    "path.key": "keys",
    "query.host": "hosts",
    "query.is_public": "publics",
    "query.marker": "volumes",
    "query.volume_type": "types",
    "body.host": "hosts",
    "body.binary": "binaries",
    "body.addProjectAccess.project": "projects",
    "body.removeProjectAccess.project": "projects",
    "body.attachment.volume_uuid": "volumes",
    "body.default_type.volume_type": "types",
    "body.os-detach.attachment_id": "attachments",
    "body.os-extend.new_size": "sizes",
    "body.os-force_detach.attachment_id": "attachments",
    "body.os-reimage.image_id": "images",
    "body.os-reset_status.attach_status": "attach_statuses",
    "body.os-reset_status.migration_status": "migration_statuses",
    "body.os-reset_status.status": "statuses",
    "body.os-retype.new_type": "types",
    "body.os-unset_image_metadata.key": "keys",
    "body.os-update_snapshot_status.status": "statuses",
    "body.reassign.project": "projects",
    "body.revert.snapshot_id": "snapshots",
    "body.snapshot.ref": "disks",
    "body.snapshot.volume_id": "volumes",
    "body.transfer.volume_id": "volumes",
    "body.volume.host": "hosts",
    "body.volume.imageRef": "images",
    "body.volume.ref": "disks",
    "body.volume.size": "sizes",
    "body.volume.snapshot_id": "snapshots",
    "body.volume.source_volid": "volumes",
    "body.volume.volume_type": "types",
    # Of Image and Compute.
    "path.flavor_id": "flavors",
    "path.image_id": "images",
    "path.member_id": "projects",
    "path.name": "keypairs",
    "path.server_id": "servers",
    "path.tag": "keys",
    "body.addTenantAccess.tenant": "projects",
    "body.removeTenantAccess.tenant": "projects",
    "body.server.flavorRef": "flavors_of_servers",
    "body.server.imageRef": "images",
    "body.server.key_name": "keypairs",
    "body.server.networks": "networks_of_servers",
    "body.volumeAttachment.volumeId": "volumes",
    # Of Network and Identity.
    "path.network_id": "networks",
    "path.subnet_id": "subnets",
    "path.port_id": "ports",
    "path.role_id": "roles",
    "path.target_id": "projects",
    "path.user_id": "users",
    "body.user.default_project_id": "projects",
}
_VERBS = ("add", "remove")
_SPEC = "/types/{type_id}/extra_specs/{key}"
_OF_CATALOG = ("services", "endpoints", "regions")
_CREDENTIALS = "/v3/users/{user_id}/application_credentials"
_TRANSFERS = ("/os-volume-transfer", "/volume-transfers")
# What such an operation is asked for is gone afterwards: it gets things of its own.
_ENDS: dict[str, str] = {
    "DELETE /volumes/{volume_id}": "volumes",
    "POST /volumes/{volume_id}/action#os-force_delete": "volumes",
    "POST /volumes/{volume_id}/action#os-unmanage": "volumes",
    "POST /volumes/{volume_id}/action#reassign": "volumes",
    "DELETE /snapshots/{snapshot_id}": "snapshots",
    "POST /snapshots/{snapshot_id}/action#os-force_delete": "snapshots",
    "POST /snapshots/{snapshot_id}/action#os-unmanage": "snapshots",
    "DELETE /types/{type_id}": "types",
    "DELETE /attachments/{attachment_id}": "attachments",
    "DELETE /messages/{message_id}": "messages",
    "DELETE /v2/images/{image_id}": "images",
    "DELETE /servers/{server_id}": "servers",
    "POST /servers/{server_id}/action#forceDelete": "servers",
    "DELETE /flavors/{flavor_id}": "flavors",
    "DELETE /v3/projects/{project_id}": "projects",
}
# Name of an operation → what only its own parameters may name.
FED_ALONE: dict[str, dict[str, str]] = {
    **{name: {f"path.{kind.removesuffix('s')}_id": f"ending_{kind}"} for name, kind in _ENDS.items()},
    # What could not be used by others afterwards.
    "POST /attachments": {"body.attachment.volume_uuid": "attached_volumes"},
    **{f"POST {path}": {"body.transfer.volume_id": f"offered{path}"} for path in _TRANSFERS},
    **{
        f"POST /volumes/{{volume_id}}/action#{action}": {"path.volume_id": "held_volumes"}
        for action in ("os-attach", "os-reserve", "os-unreserve")
    },
    "POST /volumes/{volume_id}/action#os-reset_status": {"path.volume_id": "reset_volumes"},
    **{
        f"{method} /{kind}/{{project_id}}": {"path.project_id": "other_projects"}
        for method, kind in (("PUT", "os-quota-sets"), ("PATCH", "v3/projects"))
    },
    # What needs a certain state.
    **{
        f"POST /volumes/{{volume_id}}/action#{action}": {"path.volume_id": "used_volumes"}
        for action in ("os-begin_detaching", "os-roll_detaching")
    },
    **{
        f"{method} /servers/{{server_id}}/os-volume_attachments/{{volume_id}}": {"path.volume_id": "plugged_volumes"}
        for method in ("GET", "PUT", "DELETE")
    },
    **{f"POST /types/{{type_id}}/action#{verb}ProjectAccess": {"path.type_id": "private_types"} for verb in _VERBS},
    **{
        f"POST /flavors/{{flavor_id}}/action#{verb}TenantAccess": {"path.flavor_id": "private_flavors"}
        for verb in _VERBS
    },
    **{f"GET /v3/{kind}/{{ident}}": {"path.ident": kind} for kind in _OF_CATALOG},
    "GET /v3/domains/{domain_id}": {"path.domain_id": "domains"},
    "GET /v3/domains/{target_id}/users/{user_id}/roles": {"path.target_id": "domains"},
    **{
        f"{method} /v3/domains/{{target_id}}/users/{{user_id}}/roles/{{role_id}}": {"path.target_id": "domains"}
        for method in ("PUT", "GET", "DELETE")
    },
    "POST /v3/auth/tokens": {"body.auth.identity": "proofs"},
    "GET /v3/auth/tokens": {"header.X-Subject-Token": "tokens"},
    "DELETE /v3/auth/tokens": {"header.X-Subject-Token": "ending_tokens"},
    **{f"{method} {_CREDENTIALS}": {"path.user_id": "own_users"} for method in ("GET", "POST")},
    **{
        f"{method} {_CREDENTIALS}/{{credential_id}}": {"path.user_id": "own_users", "path.credential_id": "credentials"}
        for method in ("GET", "DELETE")
    },
    "GET /flavors/{flavor_id}/os-flavor-access": {"path.flavor_id": "private_flavors"},
    **{
        name: {"path.type_id": "unused_types"}
        for name in ("POST /types/{type_id}/extra_specs", *(f"{verb} {_SPEC}" for verb in ("PUT", "DELETE")))
    },
    "PUT /v2/images/{image_id}/members/{member_id}": {
        "path.image_id": "shared_images",
        "path.member_id": "own_projects",
    },
    "PUT /v2/images/{image_id}/file": {"path.image_id": "empty_images"},
    # What a request is of no use without.
    **{
        f"GET /{path}{more}": {"query.host": "hosts"}
        for path in ("manageable_volumes", "os-volume-manage", "manageable_snapshots", "os-snapshot-manage")
        for more in ("", "/detail")
    },
    **{f"POST /{path}": {"body.volume.host": "hosts"} for path in ("manageable_volumes", "os-volume-manage")},
    "POST /servers": {"body.server.imageRef": "images"},
    # What only goes together.
    "POST /volumes/{volume_id}/action#revert": {
        "path.volume_id": "reverted_volumes",
        "body.revert.snapshot_id": "reverting_snapshots",
    },
    **{
        f"POST {path}/{{transfer_id}}/accept": {
            "path.transfer_id": f"offer{path}",
            "body.accept.auth_key": f"key{path}",
        }
        for path in _TRANSFERS
    },
}


# Name of an operation, or none: of all → what makes a request be refused whatever it says, and is mostly left out.
LEFT_OUT: dict[str, Sequence[str]] = {
    "": (
        "query.cluster",
        "query.sort_dir",  # beside `sort`
        "query.sort_key",
        "body.auth.scope",
        "body.project.domain_id",
        "body.project.parent_id",
        "body.reassign.shared_to_project",
        "body.server.host",
        "body.server.hypervisor_hostname",
        "body.snapshot.force",
        "body.volume.cluster",
        "body.volume.multiattach",
        "body.volume.server_id",
        "body.volume.snapshot_id",  # beside another source
        "body.volume.source_volid",
    ),
    "POST /v2/images": [f"body.{name}" for name in (*READ_ONLY, *RESERVED)],
}


def make(user: User, other: User, admin: User) -> Things:
    """Things of `user`'s project; `other` is of another one, which offers it volumes."""
    mine, theirs = _Project(user), _Project(other)
    types = [_type(admin, f"{mine.id} {n}", {"k": "v"}, public=n % 2 == 0) for n in range(10)]
    images = [user.new_image(_DATA, "raw") for _ in range(4)]
    volumes = mine.volumes(12, metadata={"k": "v"}) + mine.volumes(4, volume_type=types[0])
    volumes += mine.volumes(4, imageRef=images[0])
    for volume_id in volumes:
        _act(user, volume_id, "os-set_image_metadata", {"metadata": {"k": "v"}})
    snapshots = [mine.snapshot(volume_id) for volume_id in volumes[:16]]
    (reverted,) = mine.volumes(1)
    attachments = [mine.attach(volume_id) for volume_id in mine.volumes(13)]
    used = [mine.complete(attachment_id) for attachment_id in attachments[:6]]
    ending = mine.volumes(16)
    offers = {path: theirs.offer(volume_id) for path, volume_id in zip(_TRANSFERS, theirs.volumes(2), strict=True)}
    messages = mine.fail(6, _type(admin, f"{mine.id} for nobody", {"vendor_name": "nobody"}))
    beside = _project(admin, mine)
    return {
        "volumes": volumes + used[:3],
        "used_volumes": used[3:],
        "ending_volumes": ending,
        "attached_volumes": mine.volumes(8),
        **{f"offered{path}": mine.volumes(6) for path in _TRANSFERS},
        "held_volumes": mine.volumes(6),
        "reset_volumes": mine.volumes(2),
        "reverted_volumes": [reverted],
        "reverting_snapshots": [mine.snapshot(reverted)],
        "snapshots": snapshots[:8],
        "ending_snapshots": snapshots[8:],
        "types": types[:5],
        "private_types": types[1:5:2],
        "ending_types": types[5:8],
        "unused_types": types[8:],
        "attachments": attachments[:10],
        "ending_attachments": attachments[10:],
        "messages": messages[:3],
        "ending_messages": messages[3:],
        "transfers": [mine.offer(volume_id)["id"] for volume_id in mine.volumes(6)],
        **{f"offer{path}": [offer["id"]] for path, offer in offers.items()},
        **{f"key{path}": [offer["auth_key"]] for path, offer in offers.items()},
        "images": images[:2],
        "ending_images": images[2:],
        "shared_images": [_shared_image(other, mine.id)],
        "empty_images": [_empty_image(user) for _ in range(4)],
        "disks": [_let_go(admin, volume_id) for volume_id in mine.volumes(4)],
        "projects": [beside, mine.id],
        "own_projects": [mine.id],
        "other_projects": [beside],
        "ending_projects": [_project(admin, mine) for _ in range(2)],
        "hosts": ["cyclades@second", "cyclades@second#second", "cyclades@local#local"],
        "binaries": ["cinder-volume"],
        "classes": ["default"],
        "keys": ["k", "v"],
        "publics": ["true", "false", "none"],
        "sizes": [1, 2, 3],
        "statuses": ["available", "error", "in-use", "maintenance", "creating"],
        "attach_statuses": ["attached", "detached"],
        "migration_statuses": ["none"],
        **_of_compute(mine, user, admin, images[0]),
        **_of_identity(user, admin, beside),
    }


def _of_compute(mine: _Project, user: User, admin: User, image_id: str) -> Things:
    flavors = [_flavor(admin) for _ in range(4)]
    key = user.ask("POST", f"{_COMPUTE}/os-keypairs", {"keypair": {"name": "k", "public_key": PUBLIC_KEY}})
    # Their disks have nothing to boot from: they do no more than run.
    servers = [user.new_server(image_id) for _ in range(2)]
    plugged = mine.volumes(2)
    for volume_id in plugged:
        user.attach(servers[0], volume_id)
    there = {name: user.ask("GET", f"/network/v2.0/{name}")[name] for name in ("networks", "subnets", "ports")}
    there["hypervisors"] = admin.ask("GET", f"{_COMPUTE}/os-hypervisors")["hypervisors"]
    return {
        "flavors": flavors[:2],
        "ending_flavors": flavors[2:],
        "private_flavors": [_flavor(admin, public=False)],
        "keypairs": [key["keypair"]["name"]],
        "servers": servers[:1],
        "ending_servers": servers[1:],
        "plugged_volumes": plugged,
        "flavors_of_servers": [flavors[0]],
        "networks_of_servers": ["none"],
        **{name: [one["id"] for one in found] for name, found in there.items()},
    }


def _of_identity(user: User, admin: User, project_id: str) -> Things:
    def new(kind: str, **values: Any) -> str:
        asked = {"name": f"{kind} {uuid.uuid4()}", **values}
        return str(admin.ask("POST", f"/identity/v3/{kind}s", {kind: asked})[kind]["id"])

    users = [new("user", password=_PASSWORD, default_project_id=project_id) for _ in range(3)]
    told = user.ask("GET", "/identity/v3/auth/tokens", headers={"X-Subject-Token": user.token})
    own = str(told["token"]["user"]["id"])
    there = {kind: admin.ask("GET", f"/identity/v3/{kind}")[kind] for kind in _OF_CATALOG}
    return {
        "users": users,
        "own_users": [own],
        "proofs": [
            _proof(user),
            {"methods": ["password"], "password": {"user": {"id": users[0], "password": _PASSWORD}}},
        ],
        "tokens": [user.token],
        "ending_tokens": [_token(user) for _ in range(3)],
        "roles": [new("role") for _ in range(2)],
        "domains": ["default"],
        "credentials": [_credential(user, own) for _ in range(3)],
        **{kind: [one["id"] for one in found] for kind, found in there.items()},
    }


def _proof(user: User) -> Any:
    """What gets `user` another token."""
    return {"methods": ["token"], "token": {"id": user.token}}


def _token(user: User) -> str:
    answer = user.request("POST", "/identity/v3/auth/tokens", {"auth": {"identity": _proof(user)}})
    return str(answer.headers["X-Subject-Token"])


def _credential(user: User, user_id: str) -> str:
    path = f"/identity{_CREDENTIALS.format(user_id=user_id)}"
    asked = {"name": f"credential {uuid.uuid4()}"}
    return str(user.ask("POST", path, {"application_credential": asked})["application_credential"]["id"])


class _Project:
    """What a user makes there."""

    def __init__(self, user: User) -> None:
        self._user = user
        (project,) = user.ask("GET", "/identity/v3/auth/projects")["projects"]
        self.id = str(project["id"])

    def volumes(self, count: int, **values: Any) -> list[str]:
        made = [self._user.make_volume(**values) for _ in range(count)]
        for volume_id in made:
            self._user.until_volume(volume_id, "available")
        return made

    def snapshot(self, volume_id: str) -> str:
        asked = {"volume_id": volume_id, "metadata": {"k": "v"}}
        snapshot_id = str(_new(self._user, "/snapshots", snapshot=asked)["id"])
        path = f"{_VOLUME}/snapshots/{snapshot_id}"
        wait_until("a snapshot", lambda: self._user.ask("GET", path)["snapshot"]["status"] == "available")
        return snapshot_id

    def attach(self, volume_id: str) -> str:
        asked = {"volume_uuid": volume_id, "instance_uuid": str(uuid.uuid4()), "connector": {"host": "far"}}
        return str(_new(self._user, "/attachments", attachment=asked)["id"])

    def complete(self, attachment_id: str) -> str:
        """The volume, which is in use then."""
        path = f"{_VOLUME}/attachments/{attachment_id}"
        self._user.ask("POST", f"{path}/action", {"os-complete": {}}, headers=_NEWEST)
        return str(self._user.ask("GET", path, headers=_NEWEST)["attachment"]["volume_id"])

    def offer(self, volume_id: str) -> Any:
        return _new(self._user, "/volume-transfers", transfer={"volume_id": volume_id})

    def fail(self, count: int, volume_type: str) -> list[str]:
        """Messages that say so."""
        for _ in range(count):
            self._user.make_volume(volume_type=volume_type)

        def told() -> list[str]:
            found = self._user.ask("GET", f"{_VOLUME}/messages", headers=_NEWEST)["messages"]
            return [one["id"] for one in found] if len(found) >= count else []

        return wait_until("messages", told)


def _new(user: User, path: str, **body: Any) -> Any:
    """What is answered, without the key that it stands under."""
    (made,) = user.ask("POST", f"{_VOLUME}{path}", body, headers=_NEWEST).values()
    return made


def _empty_image(user: User) -> str:
    asked = {"name": "empty", "disk_format": "raw", "container_format": "bare"}
    return str(user.ask("POST", "/image/v2/images", asked)["id"])


def _shared_image(owner: User, project_id: str) -> str:
    image_id = owner.new_image(_DATA, "raw")
    owner.ask("POST", f"/image/v2/images/{image_id}/members", {"member": project_id})
    return image_id


def _flavor(admin: User, *, public: bool = True) -> str:
    asked = {"name": str(uuid.uuid4()), "ram": 32, "vcpus": 1, "disk": 1, "os-flavor-access:is_public": public}
    return str(admin.ask("POST", f"{_COMPUTE}/flavors", {"flavor": asked})["flavor"]["id"])


def _type(admin: User, name: str, specs: dict[str, str], *, public: bool = True) -> str:
    asked = {"name": name, "extra_specs": specs, "os-volume-type-access:is_public": public}
    return str(_new(admin, "/types", volume_type=asked)["id"])


def _act(user: User, volume_id: str, action: str, values: Any) -> None:
    user.ask("POST", f"{_VOLUME}/volumes/{volume_id}/action", {action: values})


def _let_go(admin: User, volume_id: str) -> str:
    """The name of the disk, which anybody may adopt."""
    _act(admin, volume_id, "os-unmanage", {})
    path = f"{_VOLUME}/volumes/{volume_id}"
    wait_until("it is let go of", lambda: admin.request("GET", path).status_code == 404)
    return unmanaged_disk(volume_id)


def _project(admin: User, own: _Project) -> str:
    """Another project. `own` gets limits of its own, that nobody else's take away what is tried there."""
    limits = dict.fromkeys(("volumes", "gigabytes", "snapshots"), -1)
    admin.ask("PUT", f"{_VOLUME}/os-quota-sets/{own.id}", {"quota_set": limits})
    made = admin.ask("POST", "/identity/v3/projects", {"project": {"name": f"beside {uuid.uuid4()}"}})
    return str(made["project"]["id"])
