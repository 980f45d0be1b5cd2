"""What `cyclades up` makes on its first start: projects and users, flavors, a volume type, and files with the
credentials.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from cyclades.config import Settings
from cyclades.model.errors import Conflict
from cyclades.operations.base import new_id
from cyclades.security import bootstrap
from cyclades.security.passwords import Passwords
from cyclades.store import flavors, volume_types
from cyclades.store.database import Database, Tx

# Name, virtual CPUs, MiB of memory, GiB of root disk.
_FLAVORS = (
    ("m1.nano", 1, 128, 1),
    ("m1.tiny", 1, 512, 1),
    ("m1.small", 1, 2048, 20),
    ("m1.medium", 2, 4096, 40),
    ("m1.large", 4, 8192, 80),
)
VOLUME_TYPE = "standard"


def prepare(db: Database, settings: Settings) -> None:
    """Make it all, once; later starts change nothing."""
    if db.read_now(bootstrap.is_done):
        return
    passwords = {name: bootstrap.new_password() for name in bootstrap.USERS}
    hasher = Passwords(settings.identity)
    hashes = {name: hasher.hash_now(password) for name, password in passwords.items()}
    hasher.close()
    with contextlib.suppress(Conflict):  # another process was the first
        db.write_now(lambda tx: _make(tx, settings, passwords, hashes))


def _make(tx: Tx, settings: Settings, passwords: dict[str, str], hashes: dict[str, str]) -> None:
    if not bootstrap.make(tx, hashes):
        return
    for number, (name, vcpus, ram, disk) in enumerate(_FLAVORS, start=1):
        flavors.add(tx, str(number), name=name, vcpus=vcpus, ram=ram, disk=disk, is_public=True, extra_specs={})
    volume_types.add(tx, new_id(), name=VOLUME_TYPE, is_public=True, is_default=True, extra_specs={})
    # In the transaction, though it is outside the database (a repeat writes the same): by the process whose rows will
    # be there, before they are, since afterwards the passwords are nowhere else.
    _write_credentials(settings, passwords)


def _write_credentials(settings: Settings, passwords: dict[str, str]) -> None:
    url = f"{settings.public_url}/identity/v3"
    for user, file in (("admin", "openrc"), ("demo", "openrc-demo")):
        variables = {
            "OS_AUTH_URL": url,
            "OS_USERNAME": user,
            "OS_PASSWORD": passwords[user],
            "OS_PROJECT_NAME": user,
            "OS_USER_DOMAIN_NAME": "Default",
            "OS_PROJECT_DOMAIN_NAME": "Default",
            "OS_REGION_NAME": settings.api.region,
            "OS_IDENTITY_API_VERSION": "3",
        }
        lines = [f"export {name}={value}\n" for name, value in variables.items()]
        _write(settings.data / file, "".join(lines))
    clouds = "".join(
        f"  {cloud}:\n"
        f"    auth:\n"
        f"      auth_url: {url}\n"
        f"      username: {user}\n"
        f"      password: {passwords[user]}\n"
        f"      project_name: {user}\n"
        f"      user_domain_name: Default\n"
        f"      project_domain_name: Default\n"
        f"    region_name: {settings.api.region}\n"
        f"    identity_api_version: 3\n"
        for cloud, user in (("cyclades", "demo"), ("cyclades-admin", "admin"))
    )
    _write(settings.data / "clouds.yaml", f"clouds:\n{clouds}")


def _write(path: Path, text: str) -> None:
    """Whole or not at all, and for nobody else's eyes."""
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.rename(path)
