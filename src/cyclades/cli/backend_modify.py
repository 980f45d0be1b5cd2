"""`cyclades backend-modify`"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
import sqlalchemy as sa
import typer
from sqlalchemy import Row

from cyclades.cli import clusters
from cyclades.cli.backends import BACKEND
from cyclades.cli.beside import Cloud
from cyclades.cli.command import command
from cyclades.cli.refused import Refused
from cyclades.engine.presence import as_reported
from cyclades.model.errors import Invalid, NotFound, WrongState
from cyclades.security.keys import Keys, Unsealable
from cyclades.store import backends, servers
from cyclades.store import clusters as rows
from cyclades.store.database import Tx
from cyclades.store.schema import attachment, server, volume

_LONGEST_REASON = 255


@command(BACKEND, asks=True)
def backend_modify(
    cloud: Cloud,
    name: Annotated[str, typer.Argument(help="The backend.")],
    drained: Annotated[
        bool | None,
        typer.Option("--drained/--undrained", help="Drained, it takes no new servers; those that it has go on."),
    ] = None,
    reason: Annotated[str | None, typer.Option(help="Why it is drained: users are told.")] = None,
    offline: Annotated[
        bool | None,
        typer.Option("--offline/--online", help="Offline, it is left alone: what is asked of its servers waits."),
    ] = None,
    url: Annotated[str | None, typer.Option(help="Of its RAPI.", rich_help_panel="The way into the cluster")] = None,
    user: clusters.User = None,
    password_file: clusters.PasswordFile = None,
    password: Annotated[
        bool, typer.Option("--password", help="Ask for a new password.", rich_help_panel="The way into the cluster")
    ] = False,
    certificate: clusters.Certificate = None,
    fingerprint: clusters.Fingerprint = None,
    add_pool: Annotated[list[str] | None, typer.Option(help="A pool that its nodes reach now; repeatable.")] = None,
    remove_pool: Annotated[list[str] | None, typer.Option(help="A pool that they no longer do; repeatable.")] = None,
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
    """Drain a backend, or change how a cluster is reached and used.

    A cluster is looked at first, unless only its being drained or offline changes. What takes a value takes it away
    if the value is empty.
    """
    if reason is not None and not drained:
        raise typer.BadParameter("A reason is given with --drained.", param_hint="--reason")
    if reason is not None and not 0 < len(reason) <= _LONGEST_REASON:
        raise typer.BadParameter(f"A reason has 1 to {_LONGEST_REASON} characters.", param_hint="--reason")
    if not cloud.find([name]):
        raise NotFound("backend", name)
    before = cloud.db.read_now(lambda tx: rows.find(tx, name))
    given = {
        "domain": domain,
        "hypervisor": hypervisor,
        "os": os,
        "nic_mode": nic_mode,
        "nic_link": nic_link,
        "iallocator": iallocator,
        "providers": None if provider is None else [one for one in provider if one],
        "look_seconds": look_seconds,
    }
    way = (url, user, password_file, certificate, fingerprint)
    pools = _pools(cloud, before, add_pool or [], remove_pool or [])
    values: dict[str, Any] = {}
    found: dict[str, Any] | None = None
    if before is None:
        if offline is not None or password or any([*way, add_pool, remove_pool, hvparam, *given.values()]):
            text = f"Backend {name} is in the settings: all but --drained and --undrained is changed there."
            raise Invalid("backend-in-settings", text)
    elif (
        password
        or hvparam is not None
        or any(one is not None for one in (*way, add_pool, remove_pool, *given.values()))
    ):
        options = clusters.options_from(before.options, hvparam, **given)
        new_url, new_user = url or before.url, user or before.user
        shown = before.certificate
        if url is not None or certificate is not None or fingerprint is not None:
            shown = clusters.certificate_from(new_url, certificate, fingerprint, may_ask=not cloud.yes)
        asked = password or password_file is not None
        secret = clusters.password_from(password_file) if asked else _kept_password(cloud, before)
        access = clusters.access(url=new_url, user=new_user, password=secret, certificate=shown)
        seen = clusters.looked_at(cloud, name, access, options, pools)
        found = as_reported(seen.capacity, has_pools=bool(pools))
        values = {"url": new_url, "user": new_user, "certificate": shown}
        values |= {"pools": pools, "options": msgspec.to_builtins(options)}
        if asked:
            values["password"] = clusters.sealed(cloud.settings, name, secret)
        cloud.confirm(f"Use the cluster of backend {name} so?", [])
    if offline is not None:
        values["offline"] = offline
    if offline:
        cloud.confirm("Leave this backend alone until it is online again?", cloud.find([name]))

    def change(tx: Tx) -> Sequence[str]:
        if before is not None and values:
            now_there = rows.get(tx, name)
            if now_there.updated_at != before.updated_at:
                raise Refused(f"Somebody else has changed backend {name} meanwhile: look at it again.")
            _require_unused(tx, before, values)
            clusters.require_lone(tx, name, values.get("url", before.url))
            rows.change(tx, name, **values)
        if found is not None:
            backends.report(tx, name, kind="ganeti", **found)
        if drained is not None:
            backends.expect(tx, name, kind="local" if before is None else "ganeti")
            backends.change(tx, name, enabled=not drained, disabled_reason=reason)
        return [name]

    return cloud.change(change)


def _pools(cloud: Cloud, before: Row[Any] | None, added: list[str], removed: list[str]) -> list[str]:
    clusters.require_pools(cloud.settings, added)
    pools: list[str] = [] if before is None else before.pools
    for name in removed:
        if name not in pools:
            raise Invalid("pool", f"The backend does not have the pool {name!r}.", field="remove-pool")
    return [name for name in dict.fromkeys([*pools, *added]) if name not in removed]


def _kept_password(cloud: Cloud, row: Row[Any]) -> str:
    try:
        return Keys(cloud.settings.key_dir).open(row.password, rows.sealed_as(row.name)).decode()
    except Unsealable as error:
        raise Refused(f"The password that is kept cannot be read ({error}): give it again.") from error


def _require_unused(tx: Tx, before: Row[Any], values: dict[str, Any]) -> None:
    """What servers depend on stays as it is as long as there are any."""
    domain = values.get("options", before.options).get("domain")
    if domain != before.options.get("domain") and servers.of_backend(tx, before.name):
        text = f"The names of its instances end in {before.options.get('domain')}: the domain stays while it has any."
        raise WrongState("backend-has-servers", text, resource="backend", field="domain")
    gone = set(before.pools) - set(values.get("pools", before.pools))
    used = (
        sa.select(volume.c.pool)
        .join(attachment, attachment.c.volume_id == volume.c.id)
        .join(server, server.c.id == attachment.c.server_id)
        .where(server.c.backend == before.name, volume.c.pool.in_(gone), attachment.c.deleted_at.is_(None))
    )
    if (pool := tx.execute(used.limit(1)).scalar()) is not None:
        text = f"Servers of backend {before.name} have volumes in pool {pool}: it stays while they have."
        raise WrongState("backend-has-servers", text, resource="backend", field="remove-pool")
