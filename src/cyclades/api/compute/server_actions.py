"""POST /servers/{id}/action"""

from __future__ import annotations

from typing import Any

from cyclades.api.compute.schemas import OBJECT_OR_NULL, closed
from cyclades.api.compute.service import SERVICE
from cyclades.api.http.ended import until_ended
from cyclades.api.http.request import Request
from cyclades.api.http.schemas import Schema
from cyclades.model.errors import Unavailable
from cyclades.operations import server_console, server_reboot, server_start, server_stop

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
