"""POST /servers/{id}/action"""

from __future__ import annotations

from typing import Any

from cyclades.api.compute import since
from cyclades.api.compute.schemas import OBJECT_OR_NULL, closed
from cyclades.api.compute.service import SERVICE
from cyclades.api.http.ended import until_ended
from cyclades.api.http.request import Request
from cyclades.api.http.schemas import Schema
from cyclades.api.http.versions import Version
from cyclades.model.errors import Unavailable, WrongState
from cyclades.operations import (
    server_console,
    server_delete,
    server_lock,
    server_reboot,
    server_reset,
    server_start,
    server_stop,
)
from cyclades.store import servers

_PATH = "/servers/{server_id}/action"
_CONSOLE_LIMIT = 20.0  # seconds that an engine may take to read a console

_EMPTY: Schema = {"anyOf": [OBJECT_OR_NULL, {"const": ""}]}


@SERVICE.route("POST", _PATH, who="member", status=202, action="os-start", body=closed({"os-start": _EMPTY}))
async def start(request: Request) -> None:
    await request.db.write(lambda tx: server_start.start(tx, request.caller, request.ids["server_id"]))


@SERVICE.route("POST", _PATH, who="member", status=202, action="os-stop", body=closed({"os-stop": _EMPTY}))
async def stop(request: Request) -> None:
    await request.db.write(lambda tx: server_stop.start(tx, request.caller, request.ids["server_id"]))


_KIND: Schema = {"enum": ["SOFT", "HARD", "Soft", "Hard", "soft", "hard"]}


@SERVICE.route(
    "POST", _PATH, who="member", status=202, action="reboot", body=closed({"reboot": closed({"type": _KIND}, "type")})
)
async def reboot(request: Request) -> None:
    hard = request.body["reboot"]["type"].upper() == "HARD"
    await request.db.write(lambda tx: server_reboot.start(tx, request.caller, request.ids["server_id"], hard=hard))


def _lock(version: Version) -> Schema:
    if version < since.SERVER_LOCKED_REASON:
        return closed({"lock": _EMPTY})
    reason: Schema = {"type": "string", "minLength": 1, "maxLength": 255}
    return closed({"lock": {"anyOf": [{"type": "null"}, closed({"locked_reason": reason})]}})


@SERVICE.route("POST", _PATH, who="member", status=202, action="lock", body=_lock)
async def lock(request: Request) -> None:
    reason = (
        (request.body["lock"] or {}).get("locked_reason") if request.version >= since.SERVER_LOCKED_REASON else None
    )
    await request.db.write(lambda tx: server_lock.lock(tx, request.caller, request.ids["server_id"], reason))


@SERVICE.route("POST", _PATH, who="member", status=202, action="unlock", body=closed({"unlock": _EMPTY}))
async def unlock(request: Request) -> None:
    await request.db.write(lambda tx: server_lock.unlock(tx, request.caller, request.ids["server_id"]))


_STATE: Schema = closed({"os-resetState": closed({"state": {"enum": ["active", "error"]}}, "state")})


@SERVICE.route("POST", _PATH, who="admin", status=202, action="os-resetState", body=_STATE)
async def reset(request: Request) -> None:
    error, server_id = request.body["os-resetState"]["state"] == "error", request.ids["server_id"]
    await request.db.write(lambda tx: server_reset.start(tx, request.caller, server_id, error=error))


@SERVICE.route("POST", _PATH, who="member", status=202, action="forceDelete", body=closed({"forceDelete": _EMPTY}))
async def delete(request: Request) -> None:
    """Servers are deleted at once here: this is the same as DELETE."""
    await request.db.write(lambda tx: server_delete.start(tx, request.caller, request.ids["server_id"]))


@SERVICE.route("POST", _PATH, who="member", status=202, action="restore", body=closed({"restore": _EMPTY}))
async def restore(request: Request) -> None:
    server = await request.db.read(lambda tx: servers.get(tx, request.ids["server_id"], request.caller.scope))
    text = f"Cannot 'restore' server {server.id} while its status is {server.status}: none is kept after its deletion."
    raise WrongState("server-restore", text, resource="server")


_LENGTH: Schema = {"type": ["integer", "string", "null"], "pattern": "^-?[0-9]{1,9}$", "minimum": -1, "maximum": 10**9}
_CONSOLE = closed({"os-getConsoleOutput": closed({"length": _LENGTH})})


@SERVICE.route("POST", _PATH, who="member", action="os-getConsoleOutput", body=_CONSOLE)
async def console(request: Request) -> dict[str, Any]:
    length = request.body["os-getConsoleOutput"].get("length")
    lines = None if length is None or int(length) < 0 else int(length)
    op_id = await request.db.write(lambda tx: server_console.start(tx, request.caller, request.ids["server_id"], lines))
    ended = await until_ended(request.db, op_id, _CONSOLE_LIMIT)
    if ended is None or ended.state != "done":
        reason = ended.reason if ended is not None else "No engine has answered in time."
        raise Unavailable("console", f"The console cannot be read now: {reason}")
    return {"output": ended.data["output"]}
