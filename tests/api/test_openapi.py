"""The OpenAPI documents, and what is of no service. That they are true is tried by `make test-openapi`."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from tests.api.whole import SERVICES, Whole, whole

from cyclades.api import identity, image, network, volume
from cyclades.api.http.service import Route
from cyclades.store.database import Database


@pytest.fixture
def cloud(database: Database, tmp_path: Path) -> Iterator[Whole]:
    if not database.is_sqlite:
        pytest.skip("no database takes part")
    with whole(database, tmp_path) as made:
        yield made


@pytest.mark.parametrize("prefix", [service.prefix for service in SERVICES])
async def test_every_service_has_a_document(cloud: Whole, prefix: str) -> None:
    (service,) = [service for service in SERVICES if service.prefix == prefix]
    async with cloud.client(cloud.ids["project_id"]) as client:
        found = (await client.get(f"{prefix}/openapi.json")).json()
    assert found["openapi"] == "3.1.0"
    assert found["servers"][0]["url"].endswith(prefix)
    of_newest = [route for route in service.routes if service.versions is None or route.has(service.versions.most)]
    there = {(method.upper(), path) for path, operations in found["paths"].items() for method in operations}
    assert there == {(route.method, _place(route)) for route in of_newest}
    for operations in found["paths"].values():
        for operation in operations.values():
            for described in (operation.get("requestBody", {}), *operation["responses"].values()):
                for content in described.get("content", {}).values():
                    jsonschema_rs.meta.validate(content["schema"])


def _place(route: Route) -> str:
    path = route.path.replace(":path}", "}")
    return f"{path}#{route.action}" if route.action else path


_OF_DESCRIBED = [
    pytest.param(route, id=f"{service.name} {route.method} {_place(route)} {route.since or ''}".strip())
    for service in (*volume.SERVICES, *image.SERVICES, *identity.SERVICES, *network.SERVICES)
    for route in service.routes
    if not route.path.endswith("/file")  # bytes
]


@pytest.mark.parametrize("route", _OF_DESCRIBED)
def test_what_is_answered_is_described(route: Route) -> None:
    answers_nothing = typing.get_type_hints(route.handler)["return"] is type(None)
    assert answers_nothing == (route.answer is None)
    if route.answer is not None:
        assert not list(_open(route.answer)), "these objects may have any other property"


def _open(schema: Any) -> Iterator[Any]:
    """The objects of a schema that may have properties of which nothing is said."""
    if isinstance(schema, list):
        for one in schema:
            yield from _open(one)
    elif isinstance(schema, dict):
        if schema.get("type") == "object" and schema.get("additionalProperties", True) is True:
            yield schema
        for one in schema.values():
            yield from _open(one)


async def test_what_is_of_no_service(cloud: Whole) -> None:
    async with cloud.client(cloud.ids["project_id"]) as client:
        assert (await client.get("/healthz")).json() == {"status": "ok"}
        for path in ("/", "/volumes", "/volume/v3x", "/volume/v3/x%0Ay", "/%00", "/x/openapi.json"):
            answer = await client.get(path)
            assert answer.status_code in (300, 404), path
            assert answer.headers["content-type"] == "application/json"
        answer = await client.patch("/volume/v3/volumes")
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")
