"""/servers/{id}/os-instance-actions: what was done with a server. Nova's actions are our operations."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from cyclades.api.compute import since, views
from cyclades.api.compute.service import SERVICE
from cyclades.api.http import lists, times
from cyclades.api.http.request import Request
from cyclades.model.errors import Invalid, NotFound
from cyclades.store import server_history, servers
from cyclades.store.database import Tx

_PATH = "/servers/{server_id}/os-instance-actions"
# By the kind of operation: Nova's action and its event. What is not here is no action there.
_ACTIONS = {
    "server_create": ("create", "compute__do_build_and_run_instance"),
    "server_delete": ("delete", "compute_terminate_instance"),
    "server_start": ("start", "compute_start_instance"),
    "server_stop": ("stop", "compute_stop_instance"),
    "server_reboot": ("reboot", "compute_reboot_instance"),
    "server_image": ("createImage", "compute_snapshot_instance"),
    "volume_attach": ("attach_volume", "compute_attach_volume"),
    "volume_create_attached": ("attach_volume", "compute_attach_volume"),
    "volume_detach": ("detach_volume", "compute_detach_volume"),
    "volume_extend": ("extend_volume", "compute_extend_volume"),
}
_RESULTS = {"done": "Success", "failed": "Error"}


@SERVICE.route("GET", _PATH, who="reader")
async def every(request: Request) -> dict[str, Any]:
    def read(tx: Tx) -> dict[str, Any]:
        server = _server(tx, request)
        rows, more = _page(request, _operations(tx, server.id))
        answer: dict[str, Any] = {"instanceActions": [_view(request, server, row) for row in rows]}
        if more:
            answer["links"] = lists.next_link(request, rows[-1].request_id)
        return answer

    return await request.db.read(read)


@SERVICE.route("GET", f"{_PATH}/{{request_id}}", who="reader")
async def show(request: Request) -> dict[str, Any]:
    def read(tx: Tx) -> dict[str, Any]:
        server = _server(tx, request)
        rows = [row for row in _operations(tx, server.id) if row.request_id == request.ids["request_id"]]
        if not rows:
            raise NotFound("instance-action", request.ids["request_id"])
        view = _view(request, server, rows[0])
        if request.caller.is_admin or request.version >= since.ACTION_EVENTS_FOR_ALL:
            view["events"] = [_event(request, server, row) for row in rows]
        return {"instanceAction": view}

    return await request.db.read(read)


def _server(tx: Tx, request: Request) -> Row[Any]:
    gone = request.version >= since.ACTIONS_OF_DELETED
    return servers.get(tx, request.ids["server_id"], request.caller.scope, deleted=gone)


def _operations(tx: Tx, server_id: str) -> list[Row[Any]]:
    return [row for row in server_history.operations_of(tx, server_id) if row.kind in _ACTIONS]


def _page(request: Request, rows: list[Row[Any]]) -> tuple[list[Row[Any]], bool]:
    """The rows that are asked for, and whether there are more. A marker is the id of a request."""
    if request.version < since.ACTION_PAGES:
        return rows, False
    if (moment := request.time("changes-since")) is not None:
        rows = [row for row in rows if _changed(row) >= moment]
    if request.version >= since.CHANGES_BEFORE and (moment := request.time("changes-before")) is not None:
        rows = [row for row in rows if _changed(row) <= moment]
    if (marker := request.one("marker")) is not None:
        places = [i for i, row in enumerate(rows) if row.request_id == marker]
        if not places:
            raise Invalid("marker", f"Marker {marker[:100]} could not be found.", field="marker")
        rows = rows[places[-1] + 1 :]
    most, limit = request.settings.api.page, request.whole("limit")
    most = most if limit is None else min(limit, most)
    return rows[:most], 0 < most < len(rows)


def _changed(row: Row[Any]) -> int:
    changed: int = row.updated_at or row.created_at
    return changed


def _view(request: Request, server: Row[Any], row: Row[Any]) -> dict[str, Any]:
    view = {
        "action": _ACTIONS[row.kind][0],
        "instance_uuid": server.id,
        "request_id": row.request_id,
        "user_id": row.user_id,
        "project_id": row.project_id,
        "start_time": times.micros(row.created_at),
        "message": "Error" if row.state == "failed" else None,
    }
    if request.version >= since.ACTION_PAGES:
        view["updated_at"] = times.micros(_changed(row))
    return view


def _event(request: Request, server: Row[Any], row: Row[Any]) -> dict[str, Any]:
    view: dict[str, Any] = {
        "event": _ACTIONS[row.kind][1],
        "start_time": times.micros(row.created_at),
        "finish_time": times.micros(row.ended_at),
        "result": _RESULTS.get(row.state) if row.ended_at is not None else None,
    }
    if request.caller.is_admin:
        view["traceback"] = None  # what went wrong is told in words, and in no others
    if request.version >= since.ACTION_EVENT_HOST:
        view["hostId"] = views.host_id(server)
        if request.caller.is_admin:
            view["host"] = server.backend
    if request.version >= since.ACTION_EVENT_DETAILS:
        view["details"] = row.reason if row.state == "failed" else None
    return view
