"""/os-simple-tenant-usage: how long servers were there, and what they took meanwhile."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row

from cyclades.api.compute import since, views
from cyclades.api.compute.service import SERVICE
from cyclades.api.http import lists
from cyclades.api.http.request import Request
from cyclades.api.http.times import micros
from cyclades.model.errors import Forbidden, Invalid
from cyclades.store import servers
from cyclades.store.pages import Key, Page
from cyclades.store.schema import now, server

_WEEKS = 4 * 7 * 24 * 3600 * 1_000_000  # µs that are looked back when nobody says how far
_HOUR = 3600 * 1_000_000


@SERVICE.route("GET", "/os-simple-tenant-usage", who="admin")
async def every(request: Request) -> dict[str, Any]:
    rows, times, more = await _read(request, None)
    by_project: dict[str, list[Row[Any]]] = {}
    for row in rows:
        by_project.setdefault(row.project_id, []).append(row)
    detailed = request.one("detailed") == "1"
    found = [_project(project, mine, *times, detailed=detailed) for project, mine in by_project.items()]
    return {"tenant_usages": found, **_next(request, "tenant_usages_links", rows, more)}


@SERVICE.route("GET", "/os-simple-tenant-usage/{project_id}", who="reader")
async def show(request: Request) -> dict[str, Any]:
    project_id = request.ids["project_id"]
    if project_id != request.caller.project_id and not request.caller.is_admin:
        raise Forbidden("usage-project", "Only admins see the usage of other projects.")
    rows, times, more = await _read(request, project_id)
    usage = _project(project_id, rows, *times, detailed=True) if rows else {}
    return {"tenant_usage": usage, **_next(request, "tenant_usage_links", rows, more)}


async def _read(request: Request, project_id: str | None) -> tuple[list[Row[Any]], tuple[int, int], bool]:
    """The servers that there were at any moment from `start` to `end`."""
    end = request.time("end") or now()
    start = request.time("start") or end - _WEEKS
    if start > end:
        raise Invalid("usage-times", "Invalid start time. The start time cannot occur after the end time.")
    found = servers.query(project_id, deleted=True).where(server.c.created_at < end)
    found = found.where(sa.or_(server.c.deleted_at.is_(None), server.c.deleted_at > start))
    paged = request.version >= since.USAGE_PAGES
    limit, most = request.whole("limit") if paged else None, request.settings.api.page
    wanted = Page(
        limit=most if limit is None else min(limit, most),
        keys=[Key("created_at", descending=False), Key("id", descending=False)],
        marker=request.one("marker") if paged else None,
    )
    rows, more = await request.db.read(lambda tx: servers.page(tx, found, wanted))
    return rows, (start, end), more and paged and bool(rows)


def _next(request: Request, key: str, rows: list[Row[Any]], more: bool) -> dict[str, Any]:
    return {key: lists.next_link(request, rows[-1].id)} if more else {}


def _project(project_id: str, rows: Iterable[Row[Any]], start: int, end: int, *, detailed: bool) -> dict[str, Any]:
    usages = [_server(row, start, end) for row in rows]
    view = {
        "tenant_id": project_id,
        "start": micros(start),
        "stop": micros(end),
        "total_hours": sum(one["hours"] for one in usages),
        "total_vcpus_usage": sum(one["hours"] * one["vcpus"] for one in usages),
        "total_memory_mb_usage": sum(one["hours"] * one["memory_mb"] for one in usages),
        "total_local_gb_usage": sum(one["hours"] * one["local_gb"] for one in usages),
    }
    return {**view, "server_usages": usages} if detailed else view


def _server(row: Row[Any], start: int, end: int) -> dict[str, Any]:
    last = min(row.deleted_at or end, end)
    return {
        "instance_id": row.id,
        "name": row.name,
        "tenant_id": row.project_id,
        "flavor": row.flavor["name"],
        "vcpus": row.flavor["vcpus"],
        "memory_mb": row.flavor["ram"],
        "local_gb": row.flavor["disk"],
        "state": "terminated" if row.deleted_at else views.VM_STATE[row.status],
        "started_at": micros(row.created_at),
        "ended_at": micros(row.deleted_at),
        "uptime": ((row.deleted_at or now()) - row.created_at) // 1_000_000,
        "hours": max(last - max(row.created_at, start), 0) / _HOUR,
    }
