"""What a list of servers is narrowed to, and sorted by."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import sqlalchemy as sa

from cyclades.api.compute import since, views
from cyclades.api.compute.patterns import Pattern
from cyclades.api.http.request import Request
from cyclades.api.http.schemas import is_true
from cyclades.model.errors import Forbidden, Invalid
from cyclades.store import servers
from cyclades.store.database import Tx
from cyclades.store.schema import server

# Nova's name → our column.
SORTABLE = {
    **{name: name for name in ("id", "name", "status", "hostname", "created_at", "updated_at", "launched_at",
                               "key_name", "project_id", "user_id", "locked", "task_state")},
    "uuid": "id", "display_name": "name", "display_description": "description", "vm_state": "status",
    "power_state": "power", "host": "backend", "image_ref": "image_id", "instance_type_id": "flavor_id",
    "terminated_at": "deleted_at", "deleted_at": "deleted_at",
}  # fmt: skip
# What a server may be in Nova; some of it never is here.
_STATUSES = frozenset({"ACTIVE", "BUILD", "DELETED", "ERROR", "HARD_REBOOT", "MIGRATING", "PASSWORD", "PAUSED",
                       "REBOOT", "REBUILD", "RESCUE", "RESIZE", "REVERT_RESIZE", "SHELVED", "SHELVED_OFFLOADED",
                       "SHUTOFF", "SOFT_DELETED", "SUSPENDED", "UNKNOWN", "VERIFY_RESIZE"})  # fmt: skip
_PAGING = {"limit", "marker", "sort_key", "sort_dir", "all_tenants"}
_SECOND = 1_000_000

Condition = Callable[[Request, str], sa.ColumnElement[bool]]


def _equal(column: sa.Column[Any]) -> Condition:
    return lambda _, value: column == value.rpartition("/")[2]  # clients also send links


def _word(words: dict[str, Any], column: sa.Column[Any]) -> Condition:
    """By what Nova calls the values of a column."""
    return lambda _, value: column.in_([ours for ours, theirs in words.items() if str(theirs) == value])


def _moment(name: str, column: sa.Column[Any]) -> Condition:
    """Times are seconds on the wire: within one, all are equal."""

    def condition(request: Request, _: str) -> sa.ColumnElement[bool]:
        begin = (request.time(name) or 0) // _SECOND * _SECOND
        return sa.and_(column >= begin, column < begin + _SECOND)

    return condition


def _zone(request: Request, value: str) -> sa.ColumnElement[bool]:
    return sa.literal(value == request.settings.api.availability_zone)


def _address(_: Request, value: str) -> sa.ColumnElement[bool]:
    """Nova takes a regular expression; beginnings, ends and parts of addresses are what people ask for."""
    text = value.removeprefix("^").removesuffix("$").removesuffix(".*").replace("\\", "")
    if not text:
        return server.c.nic_number.is_not(None)
    # As both databases keep JSON: `"address": "10.64.0.12", …`
    begins = ['"address": "', '"forward": "'] if value.startswith("^") else [""]
    ends = '"' if value.endswith("$") else ""
    nics = sa.cast(server.c.nics, sa.Text)
    return sa.or_(*(nics.contains(f"{begin}{text}{ends}", autoescape=True) for begin in begins))


_changed = sa.func.coalesce(server.c.updated_at, server.c.created_at)


def _changed_before(request: Request, _: str) -> sa.ColumnElement[bool]:
    """Within the second that it names, too: clients send what they were shown."""
    return _changed < ((request.time("changes-before") or 0) // _SECOND + 1) * _SECOND


_FOR_ALL: dict[str, Condition] = {
    "flavor": _equal(server.c.flavor_id),
    "image": _equal(server.c.image_id),
    "uuid": _equal(server.c.id),
    "ip": _address,
    "changes-since": lambda request, _: _changed >= (request.time("changes-since") or 0),
}
_SINCE: dict[str, tuple[Any, Condition]] = {
    "ip6": (since.IP6_FILTER, lambda _request, _value: sa.false()),  # no server has one
    "changes-before": (since.CHANGES_BEFORE, _changed_before),
    "locked": (since.SERVER_LOCKED_REASON, lambda _, value: server.c.locked == is_true(value)),
}
# For admins in all versions, and for all from 2.83 on.
_DETAILS: dict[str, Condition] = {
    "availability_zone": _zone,
    "config_drive": lambda _, value: server.c.config_drive == is_true(value),
    "key_name": _equal(server.c.key_name),
    "created_at": _moment("created_at", server.c.created_at),
    "launched_at": _moment("launched_at", server.c.launched_at),
    "terminated_at": _moment("terminated_at", server.c.deleted_at),
    "power_state": _word(views.POWER, server.c.power),
    "task_state": _equal(server.c.task_state),
    "vm_state": _word(views.VM_STATE, server.c.status),
    "progress": lambda _, value: sa.literal(value == "0"),
    "user_id": _equal(server.c.user_id),
}
_ADMINS: dict[str, Condition] = {
    "project_id": _equal(server.c.project_id),
    "tenant_id": _equal(server.c.project_id),
    "host": _equal(server.c.backend),
    "node": _equal(server.c.backend),
    "hostname": _equal(server.c.hostname),
    "description": lambda _, value: server.c.description.contains(value, autoescape=True),
    "instance_name": _equal(server.c.id),
    "reservation_id": lambda _, value: server.c.id.startswith(value.removeprefix("r-"), autoescape=True),
}
_OTHERS = {"name", "status", "deleted", "tags", "tags-any", "not-tags", "not-tags-any"}
_KNOWN = _PAGING | _OTHERS | set(_FOR_ALL) | set(_SINCE) | set(_DETAILS) | set(_ADMINS)


def found(tx: Tx, request: Request) -> sa.Select[Any]:
    """The servers that the caller may see and asks for."""
    caller, version = request.caller, request.version
    if version >= since.UNKNOWN_QUERY_REFUSED and (unknown := set(request.query) - _KNOWN):
        raise Invalid("query-unknown", f"Additional query parameters are not allowed: {', '.join(sorted(unknown))}.")
    everything = request.flag("all_tenants") or request.one("all_tenants") == ""  # Nova's clients send it so, too
    if everything and not caller.is_admin:
        raise Forbidden("all-tenants", "Policy doesn't allow listing the servers of all projects.")
    project_id = None if everything else caller.project_id
    wanted = servers.query(project_id, deleted=_gone_too(request))
    if caller.is_admin and "deleted" in request.query:
        wanted = wanted.where(server.c.deleted_at.is_not(None) == request.flag("deleted"))
    for name, condition in _conditions(request).items():
        if (value := request.one(name)) is not None:
            wanted = wanted.where(condition(request, value))
    if (statuses := request.query.get("status")) is not None:
        wanted = wanted.where(_status(request, statuses))
    if (pattern := request.one("name")) is not None:
        wanted = wanted.where(_named(tx, wanted, pattern))
    if version >= since.SERVER_TAGS:
        wanted = wanted.where(*_tags(request))
    return wanted


def _gone_too(request: Request) -> bool:
    """Whether servers that were deleted are in the list, too."""
    if "changes-since" in request.query:
        return True
    statuses = [status.upper() for status in request.query.get("status", ())]
    return request.caller.is_admin and (request.flag("deleted") or "DELETED" in statuses)


def _conditions(request: Request) -> dict[str, Condition]:
    """Those that count in the request's version, for whoever asks. The others are passed over, as in Nova."""
    admin, version = request.caller.is_admin, request.version
    found = dict(_FOR_ALL)
    found |= {name: condition for name, (first, condition) in _SINCE.items() if version >= first}
    if admin or version >= since.SERVER_FILTERS_FOR_ALL:
        found |= _DETAILS
    return found | _ADMINS if admin else found


def _status(request: Request, statuses: Iterable[str]) -> sa.ColumnElement[bool]:
    named = [status.upper() for status in statuses]
    unknown = [status for status in named if status not in _STATUSES]
    if unknown and request.version >= since.UNKNOWN_STATUS_REFUSED:
        raise Invalid("filter", f"Invalid status value: {unknown[0][:50]}", field="status")
    if "DELETED" in named and not request.caller.is_admin:
        raise Forbidden("filter-deleted", "Only admins list servers that were deleted.")
    return server.c.status.in_(named)


def _named(tx: Tx, wanted: sa.Select[Any], text: str) -> sa.ColumnElement[bool]:
    """Nova's filter by name is a regular expression. One that needs no more is compared by the database."""
    pattern = Pattern(text)
    if pattern.plain is None:
        names = tx.execute(wanted.with_only_columns(server.c.name).distinct()).scalars()
        return server.c.name.in_(servers.among(tx, [name for name in names if pattern.matches(name)]))
    if pattern.begins and pattern.ends:
        return server.c.name == pattern.plain
    if pattern.begins:
        return server.c.name.startswith(pattern.plain, autoescape=True)
    if pattern.ends:
        return server.c.name.endswith(pattern.plain, autoescape=True)
    return server.c.name.contains(pattern.plain, autoescape=True)


def _tags(request: Request) -> list[sa.ColumnElement[bool]]:
    """All of `tags`, any of `tags-any`; `not-` is the opposite of each."""
    conditions = []
    for name, join in (("tags", sa.and_), ("tags-any", sa.or_)):
        for prefix in ("", "not-"):
            tags = [tag for tag in (request.one(prefix + name) or "").split(",") if tag]
            if tags:
                condition = join(*(_has_tag(tag) for tag in tags))
                conditions.append(sa.not_(condition) if prefix else condition)
    return conditions


def _has_tag(tag: str) -> sa.ColumnElement[bool]:
    # Tags are JSON, which both databases keep as text with the same quotes.
    return sa.cast(server.c.tags, sa.Text).contains(servers.as_json(tag), autoescape=True)
