"""Lock a server against changes by its own project, and unlock it. What an admin of another project locked, only admins
unlock."""

from __future__ import annotations

from cyclades.model.caller import Caller
from cyclades.model.errors import Forbidden
from cyclades.store import servers
from cyclades.store.database import Tx

REASON = "locked_reason"  # in a server's `extra`
_BY = "locked_by"


def lock(tx: Tx, caller: Caller, server_id: str, reason: str | None) -> None:
    row = servers.hold(tx, server_id, caller.scope)
    owner = row.project_id == caller.project_id
    if row.locked and owner:
        return  # as it is: also the reason that somebody gave
    extra = {**row.extra, REASON: reason, _BY: "owner" if owner else "admin"}
    servers.change(tx, row.id, locked=True, extra=extra)


def unlock(tx: Tx, caller: Caller, server_id: str) -> None:
    row = servers.hold(tx, server_id, caller.scope)
    if row.extra.get(_BY) == "admin" and not caller.is_admin:
        raise Forbidden("server-unlock", "An admin has locked this server: only admins unlock it.")
    extra = {name: value for name, value in row.extra.items() if name not in (REASON, _BY)}
    servers.change(tx, row.id, locked=False, extra=extra)
