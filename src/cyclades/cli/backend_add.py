"""`cyclades backend-add`"""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from cyclades.cli import clusters
from cyclades.cli.backends import BACKEND
from cyclades.cli.beside import Cloud
from cyclades.cli.command import command
from cyclades.config import BackendSettings
from cyclades.engine.presence import as_reported
from cyclades.model.errors import Conflict, Invalid
from cyclades.operations import placement
from cyclades.store import backends
from cyclades.store import clusters as rows
from cyclades.store.database import Tx


@command(BACKEND, asks=True)
def backend_add(
    cloud: Cloud,
    name: Annotated[str, typer.Argument(help="What it is called here; `cyclades node-files` is given the same.")],
    url: Annotated[str, typer.Option(help="Of its RAPI, like https://ganeti.example.org:5080.")],
    user: clusters.User = "cyclades",
    password_file: clusters.PasswordFile = None,
    certificate: clusters.Certificate = None,
    fingerprint: clusters.Fingerprint = None,
    pool: Annotated[
        list[str] | None, typer.Option(help="A pool that its nodes reach (see `cyclades node-files`); repeatable.")
    ] = None,
    domain: clusters.Domain = None,
    hypervisor: clusters.Hypervisor = None,
    hvparam: clusters.Hvparams = None,
    os: clusters.Os = None,
    nic_mode: clusters.NicMode = None,
    nic_link: clusters.NicLink = None,
    iallocator: clusters.Iallocator = None,
    provider: clusters.Providers = None,
    look_seconds: clusters.LookSeconds = None,
) -> int:
    """Add a Ganeti cluster as a backend, once you have seen what it holds.

    Its instances are not touched, whatever they are called. The password is kept sealed.
    """
    pools = list(dict.fromkeys(pool or ()))
    options = clusters.options_from(
        {},
        hvparam,
        domain=domain,
        hypervisor=hypervisor,
        os=os,
        nic_mode=nic_mode,
        nic_link=nic_link,
        iallocator=iallocator,
        providers=provider,
        look_seconds=look_seconds,
    )
    clusters.require_pools(cloud.settings, pools)
    cloud.db.read_now(lambda tx: _require_free(tx, cloud, name, url))
    password = clusters.password_from(password_file)
    shown = clusters.certificate_from(url, certificate, fingerprint, may_ask=not cloud.yes)
    way = clusters.access(url=url, user=user, password=password, certificate=shown)
    found = clusters.looked_at(cloud, name, way, options, pools)
    cloud.confirm(f"Add this cluster as backend {name}?", [])
    values = {
        "url": url,
        "user": user,
        "password": clusters.sealed(cloud.settings, name, password),
        "certificate": shown,
        "pools": pools,
        "options": msgspec.to_builtins(options),
    }

    def add(tx: Tx) -> list[str]:
        _require_free(tx, cloud, name, url)
        rows.add(tx, name, **values)
        backends.report(tx, name, kind="ganeti", **as_reported(found.capacity, has_pools=bool(pools)))
        return [name]

    return cloud.change(add)


def _require_free(tx: Tx, cloud: Cloud, name: str, url: str) -> None:
    try:
        msgspec.convert({"name": name}, BackendSettings)
    except msgspec.ValidationError as error:
        raise Invalid("backend-name", f"{name!r} cannot be the name of a backend.", field="name") from error
    if any(host.name == name for host in placement.hosts(tx, cloud.settings)):
        raise Conflict("backend-name", f"There is a backend {name} already.", field="name")
    clusters.require_lone(tx, name, url)
