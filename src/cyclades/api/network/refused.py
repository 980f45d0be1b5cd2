"""What Neutron has and this cloud does not: empty lists, and a refusal that says why."""

from __future__ import annotations

from typing import Any

from cyclades.api.http.request import Request
from cyclades.api.network import shapes
from cyclades.api.network.service import SERVICE
from cyclades.model.errors import Forbidden, NotFound

_WRITTEN = ("networks", "subnets", "ports")
_EMPTY = ("security-groups", "security-group-rules", "floatingips", "routers", "extensions", "subnetpools", "agents")
_WHY = "The network is the operator's: it can be read here, and not changed."


async def _refuse(_request: Request) -> None:
    raise Forbidden("network-read-only", _WHY)


def _empty(name: str) -> None:
    key = name.replace("-", "_")

    @SERVICE.route("GET", f"/v2.0/{name}", who="reader", answer=shapes.none(key))
    async def every(_request: Request) -> dict[str, Any]:
        return {key: []}

    @SERVICE.route("GET", f"/v2.0/{name}/{{ident}}", who="reader")
    async def show(request: Request) -> None:
        raise NotFound(key.removesuffix("s").replace("_", "-"), request.ids["ident"])


for _name in _EMPTY:
    _empty(_name)
for _name in (*_WRITTEN, *_EMPTY):
    if _name not in ("extensions", "agents"):
        _id = "ident" if _name in _EMPTY else f"{_name.removesuffix('s')}_id"
        SERVICE.route("POST", f"/v2.0/{_name}", who="member")(_refuse)
        SERVICE.route("PUT", f"/v2.0/{_name}/{{{_id}}}", who="member")(_refuse)
        SERVICE.route("DELETE", f"/v2.0/{_name}/{{{_id}}}", who="member")(_refuse)
