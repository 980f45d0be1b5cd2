"""The OpenAPI documents, and what is of no service. That they are true is tried by `make test-openapi`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import jsonschema_rs
import pytest
from tests.api.whole import SERVICES, Whole, whole

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
    assert there == {(route.method, route.path.replace(":path}", "}")) for route in of_newest}
    for operations in found["paths"].values():
        for operation in operations.values():
            for content in operation.get("requestBody", {}).get("content", {}).values():
                jsonschema_rs.meta.validate(content["schema"])


async def test_what_is_of_no_service(cloud: Whole) -> None:
    async with cloud.client(cloud.ids["project_id"]) as client:
        assert (await client.get("/healthz")).json() == {"status": "ok"}
        for path in ("/", "/volumes", "/volume/v3x", "/volume/v3/x%0Ay", "/%00", "/x/openapi.json"):
            answer = await client.get(path)
            assert answer.status_code in (300, 404), path
            assert answer.headers["content-type"] == "application/json"
        answer = await client.patch("/volume/v3/volumes")
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")
