"""All services in the test's own process, over a database where one project has one of everything. No engine runs."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from tests.api.client import URL, PlainTokens, token

from cyclades.api import compute, events, identity, image, network, volume
from cyclades.api.app import application
from cyclades.api.http.service import Service, Shared
from cyclades.config import Settings, load
from cyclades.model import nics
from cyclades.model.nics import port_of
from cyclades.model.units import GIB
from cyclades.operations.base import new_id
from cyclades.security import bootstrap
from cyclades.security.keys import Keys
from cyclades.security.logins import Logins
from cyclades.security.revocations import Revocations
from cyclades.store import (
    attachments,
    flavors,
    images,
    keypairs,
    operations,
    servers,
    snapshots,
    transfers,
    volume_types,
    volumes,
)
from cyclades.store import schema as t
from cyclades.store.database import Database, Tx

SERVICES: tuple[Service, ...] = (
    *identity.SERVICES,
    *image.SERVICES,
    *volume.SERVICES,
    *compute.SERVICES,
    *network.SERVICES,
    *events.SERVICES,
)
TRANSFER_KEY = "open sesame"
PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJeKoPnPlKfBsXkQ7mCOFyBW5bO0jBGDYlmHzdTGOC5P somebody"


@dataclass
class Whole:
    """`ids` are the parts of paths by their names in the route table, of what the project `ids["project_id"]` has."""

    db: Database
    settings: Settings
    ids: dict[str, str]
    other_project: str
    app: Any

    def client(self, project_id: str, *roles: str, user_id: str | None = None, **headers: str) -> httpx.AsyncClient:
        sent = {"X-Auth-Token": token(project_id, *roles, user_id=user_id or self.ids["user_id"]), **headers}
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url=URL, headers=sent)

    async def everything(self) -> dict[str, list[Any]]:
        """All rows of all tables."""

        def read(tx: Tx) -> dict[str, list[Any]]:
            return {name: sorted(map(repr, tx.execute(table.select()))) for name, table in t.metadata.tables.items()}

        return await self.db.read(read)


@contextmanager
def whole(db: Database, directory: Path) -> Iterator[Whole]:
    settings = load(None, {}, data=str(directory / "data"), identity__hash_memory=64)
    settings.image_dir.mkdir(parents=True, exist_ok=True)
    logins = Logins(settings.identity)
    try:
        hashes = {name: logins.passwords.hash_now(name) for name in bootstrap.USERS}
        ids, other = db.write_now(lambda tx: _fill(tx, hashes))
        tokens = PlainTokens()
        tokens.revocations = Revocations(db)
        shared = Shared(db, settings, Keys(settings.key_dir), tokens, logins)
        yield Whole(db, settings, ids, other, application(list(SERVICES), shared))
    finally:
        logins.close()


def _fill(tx: Tx, hashes: dict[str, str]) -> tuple[dict[str, str], str]:
    bootstrap.make(tx, hashes)
    projects = {row.name: row.id for row in tx.execute(t.project.select())}
    users = {row.name: row.id for row in tx.execute(t.user.select())}
    roles = {row.name: row.id for row in tx.execute(t.role.select())}
    project_id, user_id = projects["demo"], users["demo"]
    names = ("volume_id", "snapshot_id", "server_id", "image_id", "attachment_id", "transfer_id", "message_id")
    ids = {name: new_id() for name in (*names, "type_id", "public_type_id", "attached_volume_id", "credential_id")}
    offered_volume_id = new_id()
    ids |= {"project_id": project_id, "user_id": user_id, "role_id": roles["member"], "flavor_id": "hidden"}
    ids |= {
        "target_id": project_id,
        "domain_id": "default",
        "name": "mine",
        "key": "k",
        "tag": "tag",
        "member_id": project_id,
        "request_id": "req-1",
    }
    ids["port_id"] = port_of(ids["server_id"])
    own = {"project_id": project_id, "user_id": user_id}
    volume_types.add(tx, ids["public_type_id"], name="standard", is_public=True, is_default=True, extra_specs={})
    volume_types.add(tx, ids["type_id"], name="secret", is_public=False, extra_specs={"k": "v"})
    flavors.add(tx, "public", name="small", vcpus=1, ram=128, disk=1, is_public=True, extra_specs={})
    flavors.add(tx, "hidden", name="secret", vcpus=1, ram=128, disk=1, is_public=False, extra_specs={"k": "v"})
    keypairs.add(tx, user_id, "mine", public_key=PUBLIC_KEY, fingerprint="a:b")
    image_values = {"disk_format": "raw", "container_format": "bare", "size": GIB, "virtual_size": GIB}
    images.add(
        tx, ids["image_id"], project_id=project_id, name="mine", status="active", visibility="shared",
        file=ids["image_id"], tags=["tag"], properties={"k": "v"}, **image_values,
    )  # fmt: skip
    disk: dict[str, Any] = {
        "size": 1,
        "volume_type_id": ids["public_type_id"],
        "pool": "local",
        "availability_zone": "nova",
    }
    disk |= {**own, "metadata": {"k": "v"}, "image_metadata": {"k": "v"}, "bootable": True}
    volumes.add(tx, ids["volume_id"], status="available", **disk)
    volumes.add(tx, ids["attached_volume_id"], status="in-use", generation=1, **disk)
    volumes.add(tx, offered_volume_id, status="awaiting-transfer", **disk)
    snapshots.add(
        tx, ids["snapshot_id"], volume_id=ids["volume_id"], status="available", size=1, metadata={"k": "v"}, **own
    )
    servers.add(
        tx, ids["server_id"], name="mine", hostname="mine", status="ACTIVE", power="running", backend="local",
        flavor_id="public", flavor={"id": "public", "name": "s", "vcpus": 1, "ram": 1, "disk": 1, "extra_specs": {}},
        metadata={"k": "v"}, tags=["tag"], nic_number=100, nics=[nics.addresses(100, "a cloud")._asdict()], **own,
    )  # fmt: skip
    operations.add(
        tx, new_id(), kind="server_create", args={}, resource_kind="server", resource_id=ids["server_id"],
        request_id=ids["request_id"], **own,
    )  # fmt: skip
    tx.execute(t.operation.update().values(state="done", ended_at=t.now()))
    attachments.add(
        tx, ids["attachment_id"], project_id=project_id, volume_id=ids["attached_volume_id"],
        server_id=ids["server_id"], disk_index=1, status="attached", device="/dev/sdb", generation=1,
    )  # fmt: skip
    key_hash = hashlib.sha256(TRANSFER_KEY.encode()).hexdigest()
    transfers.add(tx, ids["transfer_id"], volume_id=offered_volume_id, project_id=project_id, key_hash=key_hash)
    tx.execute(
        t.message.insert().values(
            id=ids["message_id"], project_id=project_id, request_id="req-1", operation="volume_create",
            resource_kind="volume", resource_id=ids["volume_id"], text="no", created_at=t.now(), expires_at=2**52,
        )
    )  # fmt: skip
    tx.execute(
        t.application_credential.insert().values(
            id=uuid.UUID(ids["credential_id"]).hex, name="mine", secret_hash="0", roles=[roles["member"]],
            created_at=t.now(), **own,
        )
    )  # fmt: skip
    ids["credential_id"] = uuid.UUID(ids["credential_id"]).hex
    return ids, projects["admin"]
