"""/os-hypervisors: the backends, and what their servers take of them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row

from cyclades.api.compute import hosts, since
from cyclades.api.compute.service import SERVICE
from cyclades.api.http import lists
from cyclades.api.http.request import Request
from cyclades.model.errors import Invalid, NotFound
from cyclades.model.presence import is_up
from cyclades.model.units import GIB
from cyclades.store import backends, pools
from cyclades.store.database import Tx
from cyclades.store.schema import now

_UNTIL_2_52 = since.before(since.HOST_UUIDS)
_UNTIL_2_87 = since.before(since.HYPERVISOR_UPTIME_INSIDE)
_KNOWN = {"limit", "marker", "hypervisor_hostname_pattern", "with_servers"}
_HOST_IP = "127.0.0.1"


@dataclass
class Host:
    """A backend, its servers, and the bytes of the pools. The pools are all backends' together."""

    number: int
    row: Row[Any]
    servers: list[Row[Any]]
    total: int
    free: int
    promised: int

    def id(self, request: Request) -> int | str:
        return hosts.number_or_uuid(request, "hypervisor", self.row.name, self.number)

    @property
    def running(self) -> list[Row[Any]]:
        return [server for server in self.servers if server.power == "running"]


def _read(tx: Tx, request: Request) -> list[Host]:
    pooled = pools.every(tx, request.settings.storage.pools)
    total, free, promised = (sum(getattr(pool, what) for pool in pooled) for what in ("total", "free", "promised"))
    return [
        Host(number, row, backends.servers_of(tx, row.name), total, free, promised)
        for number, row in enumerate(hosts.every(tx, request), start=1)
    ]


def _brief(request: Request, host: Host) -> dict[str, Any]:
    return {
        "id": host.id(request),
        "hypervisor_hostname": host.row.name,
        "state": "up" if is_up(host.row.seen_at, now()) else "down",
        "status": "enabled" if host.row.enabled else "disabled",
    }


def _used(host: Host) -> dict[str, int]:
    """What Nova's numbers are; memory is MiB, disks are GiB."""
    vcpus = sum(server.flavor["vcpus"] for server in host.servers)
    memory = sum(server.flavor["ram"] for server in host.servers)
    return {
        "vcpus": host.row.vcpus,
        "vcpus_used": vcpus,
        "memory_mb": host.row.memory,
        "memory_mb_used": memory,
        "free_ram_mb": host.row.memory - memory,
        "local_gb": host.total // GIB,
        "local_gb_used": (host.total - host.free) // GIB,
        "free_disk_gb": host.free // GIB,
        "disk_available_least": (host.total - host.promised) // GIB,
        "running_vms": len(host.running),
        "current_workload": 0,
    }


def _detail(request: Request, host: Host) -> dict[str, Any]:
    service = {
        "id": hosts.number_or_uuid(request, hosts.COMPUTE, host.row.name, host.number),
        "host": host.row.name,
        "disabled_reason": host.row.disabled_reason,
    }
    view = {
        **_brief(request, host),
        "hypervisor_type": host.row.program,
        "hypervisor_version": host.row.version,
        "host_ip": _HOST_IP,
        "service": service,
    }
    if request.version >= since.HYPERVISOR_UPTIME_INSIDE:
        return {**view, "uptime": _uptime(host)}
    return {**view, **_used(host), "cpu_info": {} if request.version >= since.HYPERVISOR_CPU_OBJECT else ""}


def _uptime(host: Host) -> str | None:
    """As `uptime` says it."""
    if host.row.booted_at is None:
        return None
    minutes = (now() - host.row.booted_at) // 60_000_000
    clock = time.strftime("%H:%M:%S", time.gmtime(now() // 1_000_000))
    return f" {clock} up {minutes // 1440} days, {minutes // 60 % 24}:{minutes % 60:02}"


def _servers(host: Host) -> list[dict[str, str]]:
    return [{"uuid": server.id, "name": server.name} for server in host.servers]


# --- lists ----------------------------------------------------------------------------------------


@SERVICE.route("GET", "/os-hypervisors", who="admin")
async def brief(request: Request) -> dict[str, Any]:
    return await _list(request, detail=False)


@SERVICE.route("GET", "/os-hypervisors/detail", who="admin")
async def detail(request: Request) -> dict[str, Any]:
    return await _list(request, detail=True)


async def _list(request: Request, *, detail: bool) -> dict[str, Any]:
    version, pattern = request.version, None
    if version >= since.UNKNOWN_QUERY_REFUSED and (unknown := set(request.query) - _KNOWN):
        raise Invalid("query-unknown", f"Additional query parameters are not allowed: {', '.join(sorted(unknown))}.")
    found = await request.db.read(lambda tx: _read(tx, request))
    if version >= since.HOST_UUIDS and (pattern := request.one("hypervisor_hostname_pattern")) is not None:
        found = _matching(found, pattern)
    found, more = _page(request, found) if version >= since.HYPERVISOR_PAGES and pattern is None else (found, False)
    with_servers = version >= since.HOST_UUIDS and request.flag("with_servers")
    views = []
    for host in found:
        view = _detail(request, host) if detail else _brief(request, host)
        if with_servers and (host.servers or version >= since.UNKNOWN_QUERY_REFUSED):
            view["servers"] = _servers(host)
        views.append(view)
    answer: dict[str, Any] = {"hypervisors": views}
    if more:
        answer["hypervisors_links"] = lists.next_link(request, str(found[-1].id(request)))
    return answer


def _page(request: Request, found: list[Host]) -> tuple[list[Host], bool]:
    limit = request.whole("limit")
    most = request.settings.api.page if limit is None else min(limit, request.settings.api.page)
    if (marker := request.one("marker")) is not None:
        ids = [str(host.id(request)) for host in found]
        if marker not in ids:
            raise Invalid("marker", f"Marker {marker[:100]} could not be found.", field="marker")
        found = found[ids.index(marker) + 1 :]
    return found[:most], 0 < most < len(found)


def _matching(found: list[Host], text: str) -> list[Host]:
    matching = [host for host in found if text in host.row.name]
    if not matching:
        raise NotFound("hypervisor", f"matching '{text[:100]}'")
    return matching


@SERVICE.route("GET", "/os-hypervisors/{hypervisor}/search", who="admin", until=_UNTIL_2_52)
async def search(request: Request) -> dict[str, Any]:
    found = _matching(await request.db.read(lambda tx: _read(tx, request)), request.ids["hypervisor"])
    return {"hypervisors": [_brief(request, host) for host in found]}


@SERVICE.route("GET", "/os-hypervisors/{hypervisor}/servers", who="admin", until=_UNTIL_2_52)
async def servers(request: Request) -> dict[str, Any]:
    found = _matching(await request.db.read(lambda tx: _read(tx, request)), request.ids["hypervisor"])
    views = [{**_brief(request, host), **({"servers": _servers(host)} if host.servers else {})} for host in found]
    return {"hypervisors": views}


# --- one, and all together ------------------------------------------------------------------------


async def _one(request: Request) -> Host:
    for host in await request.db.read(lambda tx: _read(tx, request)):
        if str(host.id(request)) == request.ids["hypervisor"]:
            return host
    raise NotFound("hypervisor", request.ids["hypervisor"])


@SERVICE.route("GET", "/os-hypervisors/statistics", who="admin", until=_UNTIL_2_87)
async def statistics(request: Request) -> dict[str, Any]:
    found = await request.db.read(lambda tx: _read(tx, request))
    sums: dict[str, int] = {"count": len(found)}
    for host in found:
        for name, number in _used(host).items():
            shared = name in ("local_gb", "local_gb_used", "free_disk_gb", "disk_available_least")  # the pools'
            sums[name] = number if shared else sums.get(name, 0) + number
    return {"hypervisor_statistics": sums}


@SERVICE.route("GET", "/os-hypervisors/{hypervisor}", who="admin")
async def show(request: Request) -> dict[str, Any]:
    host = await _one(request)
    view = _detail(request, host)
    if request.version >= since.HOST_UUIDS and request.flag("with_servers"):
        view["servers"] = _servers(host)
    return {"hypervisor": view}


@SERVICE.route("GET", "/os-hypervisors/{hypervisor}/uptime", who="admin", until=_UNTIL_2_87)
async def uptime(request: Request) -> dict[str, Any]:
    host = await _one(request)
    return {"hypervisor": {**_brief(request, host), "uptime": _uptime(host) or ""}}
