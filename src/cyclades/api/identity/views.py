"""Rows as Keystone writes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import Row

from cyclades.api.http.request import Request

View = Callable[[Request, Row[Any]], dict[str, Any]]


def user(request: Request, row: Row[Any]) -> dict[str, Any]:
    view = {
        **row.extra,
        "id": row.id,
        "name": row.name,
        "domain_id": row.domain_id,
        "enabled": row.enabled,
        "password_expires_at": None,
        "options": {},
        "links": _self(request, "users", row.id),
    }
    if row.default_project_id is not None:
        view["default_project_id"] = row.default_project_id
    return view


def project(request: Request, row: Row[Any]) -> dict[str, Any]:
    return {
        "tags": [],
        **row.extra,
        "id": row.id,
        "name": row.name,
        "domain_id": row.domain_id,
        "parent_id": row.domain_id,
        "is_domain": False,
        "description": row.description,
        "enabled": row.enabled,
        "options": {},
        "links": _self(request, "projects", row.id),
    }


def domain(request: Request, row: Row[Any]) -> dict[str, Any]:
    return {
        "tags": [],
        **row.extra,
        "id": row.id,
        "name": row.name,
        "description": row.description,
        "enabled": row.enabled,
        "options": {},
        "links": _self(request, "domains", row.id),
    }


def role(request: Request, row: Row[Any]) -> dict[str, Any]:
    return {
        **row.extra,
        "id": row.id,
        "name": row.name,
        "domain_id": None,
        "description": row.description,
        "options": {},
        "links": _self(request, "roles", row.id),
    }


def listed(request: Request, key: str, items: Iterable[dict[str, Any]]) -> dict[str, Any]:
    query = f"?{urlencode(request.query, doseq=True)}" if request.query else ""
    links = {"self": f"{request.base_url}{request.path}{query}", "next": None, "previous": None}
    return {key: list(items), "links": links}


def _self(request: Request, kind: str, ident: str) -> dict[str, str]:
    return {"self": f"{request.base_url}/v3/{kind}/{ident}"}
