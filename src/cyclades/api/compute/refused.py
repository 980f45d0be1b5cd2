"""What Nova does with servers and we do not: refused by a rule that says so, of a server that is there and the asker's.

Which of them are for admins, and in which versions they are there, is as in Nova.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from cyclades.api.compute import since
from cyclades.api.compute.service import SERVICE
from cyclades.api.http.request import Request
from cyclades.api.http.service import Who
from cyclades.model.errors import Forbidden, Invalid, NotFound, Refusal
from cyclades.store import servers

_ACTION = "/servers/{server_id}/action"
_ADDRESSES_UNTIL = since.before(since.ADDRESS_ACTIONS_GONE)
_CONSOLES_UNTIL = since.before(since.REMOTE_CONSOLES)

Handler = Callable[[Request], Awaitable[None]]


def _refusing(refusal: Callable[[Request], Refusal]) -> Handler:
    async def refuse(request: Request) -> None:
        await request.db.read(lambda tx: servers.get(tx, request.ids["server_id"], request.caller.scope))
        raise refusal(request)

    return refuse


def _not_offered(what: str, instead: str) -> Handler:
    rule = f"{what.replace(' ', '-')}-not-offered"
    return _refusing(lambda _: Forbidden(rule, f"Servers are not {what} here ({rule}). {instead}".rstrip()))


_REBUILT = _not_offered("rebuilt", "Make a new server; a volume can get an image's content by os-reimage.")
_RESIZED = _not_offered("resized", "Make a new server from its root disk, which is a volume.")
_PAUSED = _not_offered("paused", "Stop and start them.")
_SUSPENDED = _not_offered("suspended", "Stop and start them.")
_SHELVED = _not_offered("shelved", "Delete a server, and keep its root disk (delete_on_termination).")
_RESCUED = _not_offered("rescued", "Attach the root disk's clone to another server.")
_BACKED_UP = _not_offered("backed up on a schedule", "createImage makes an image now.")
_MOVED = _not_offered("moved", "Their disks are shared: make a new server from the root disk.")
_PASSWORD = _not_offered("given passwords", "Use a key pair.")
_CRASHED = _not_offered("made to dump", "")
_PLUGGED = _not_offered("plugged into other networks", "The backend gives each its one address.")
_DIAGNOSED = _not_offered("measured", "The console (os-getConsoleOutput) shows what the guest says.")
_NO_GROUP = _refusing(lambda request: NotFound("security-group", _named(request, "name")))
_NO_ADDRESS = _refusing(lambda request: NotFound("floating-ip", _named(request, "address")))
_NO_CONSOLE = _refusing(
    lambda request: Invalid("console-type", f"Unavailable console type {_console(request)}.", field="type")
)


def _named(request: Request, key: str) -> str:
    """What the action's values have under `key`."""
    values = next(iter(request.body.values()), None) if isinstance(request.body, dict) else None
    return str(values.get(key, ""))[:255] if isinstance(values, dict) else ""


def _console(request: Request) -> str:
    return _named(request, "type")[:32] or "(none)"


# Action → (handler, who, the first version that has it, the last one)
_ACTIONS: dict[str, tuple[Handler, Who, str | None, str | None]] = {
    "rebuild": (_REBUILT, "member", None, None),
    "resize": (_RESIZED, "member", None, None),
    "confirmResize": (_RESIZED, "member", None, None),
    "revertResize": (_RESIZED, "member", None, None),
    "pause": (_PAUSED, "member", None, None),
    "unpause": (_PAUSED, "member", None, None),
    "suspend": (_SUSPENDED, "member", None, None),
    "resume": (_SUSPENDED, "member", None, None),
    "shelve": (_SHELVED, "member", None, None),
    "unshelve": (_SHELVED, "member", None, None),
    "shelveOffload": (_SHELVED, "admin", None, None),
    "rescue": (_RESCUED, "member", None, None),
    "unrescue": (_RESCUED, "member", None, None),
    "createBackup": (_BACKED_UP, "member", None, None),
    "migrate": (_MOVED, "admin", None, None),
    "os-migrateLive": (_MOVED, "admin", None, None),
    "evacuate": (_MOVED, "admin", None, None),
    "changePassword": (_PASSWORD, "member", None, None),
    "trigger_crash_dump": (_CRASHED, "member", str(since.CRASH_DUMP), None),
    "addFixedIp": (_PLUGGED, "member", None, _ADDRESSES_UNTIL),
    "removeFixedIp": (_PLUGGED, "member", None, _ADDRESSES_UNTIL),
    "resetNetwork": (_PLUGGED, "admin", None, None),
    "injectNetworkInfo": (_PLUGGED, "admin", None, None),
    "addFloatingIp": (_NO_ADDRESS, "member", None, _ADDRESSES_UNTIL),
    "removeFloatingIp": (_NO_ADDRESS, "member", None, _ADDRESSES_UNTIL),
    "addSecurityGroup": (_NO_GROUP, "member", None, None),
    "removeSecurityGroup": (_NO_GROUP, "member", None, None),
    "os-getVNCConsole": (_NO_CONSOLE, "member", None, _CONSOLES_UNTIL),
    "os-getSPICEConsole": (_NO_CONSOLE, "member", None, _CONSOLES_UNTIL),
    "os-getRDPConsole": (_NO_CONSOLE, "member", None, _CONSOLES_UNTIL),
    "os-getSerialConsole": (_NO_CONSOLE, "member", None, _CONSOLES_UNTIL),
}

for _name, (_handler, _who, _since, _until) in _ACTIONS.items():
    SERVICE.route("POST", _ACTION, who=_who, action=_name, since=_since, until=_until)(_handler)

_with_consoles = str(since.REMOTE_CONSOLES)
SERVICE.route("POST", "/servers/{server_id}/remote-consoles", who="member", since=_with_consoles)(_NO_CONSOLE)
SERVICE.route("POST", "/servers/{server_id}/os-interface", who="member")(_PLUGGED)
SERVICE.route("DELETE", "/servers/{server_id}/os-interface/{port_id}", who="member")(_PLUGGED)
SERVICE.route("GET", "/servers/{server_id}/diagnostics", who="admin")(_DIAGNOSED)
