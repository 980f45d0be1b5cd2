"""A request that fails as none should: the client gets an id, the log the details."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import structlog
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs
from tests.api.client import client, token
from tests.api.whole import SERVICES

from cyclades.api.http.errors import fault_body, general_code
from cyclades.api.http.request import Request
from cyclades.api.http.service import Service
from cyclades.config import load
from cyclades.store.database import Database

PROJECT = "0" * 32


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/identity/v3/projects", None),
        ("GET", "/image/v2/images", None),
        ("GET", "/volume/v3/volumes/detail", None),
        ("POST", "/volume/v3/volumes", {"volume": {"size": 1}}),
        ("GET", "/compute/v2.1/servers/detail", None),
    ],
)
async def test_only_the_id_is_told(tmp_path: Path, method: str, path: str, body: object) -> None:
    broken = Database(f"sqlite:///{tmp_path}/without-tables.db")
    settings = load(None, {}, data=str(tmp_path))
    headers = {"X-Auth-Token": token(PROJECT, "admin")}
    with capture_logs() as logs:
        async with client(broken, settings, SERVICES, **headers) as http:
            answer = await http.request(method, path, json=body)
    broken.close()
    assert answer.status_code == 500
    request_id = answer.headers["x-openstack-request-id"]
    assert re.fullmatch(r"req-[0-9a-f-]{36}", request_id)
    ((_, fault),) = answer.json().items()
    text = f"Something went wrong inside the server; request {request_id} has the details in its log."
    assert (fault["code"], fault["message"]) == (500, text)
    assert not re.search("sqlite|table|select|error in", answer.text, re.IGNORECASE)
    (entry,) = [entry for entry in logs if entry["log_level"] == "error"]
    assert (entry["event"], entry["request_id"], entry["exc_info"]) == ("request.unexpected", request_id, True)


async def test_what_a_handler_logs_says_for_whom(tmp_path: Path) -> None:
    service = Service("test", "", versions=None, code_of=general_code, body_of=fault_body)

    @service.route("GET", "/thing", who="reader")
    async def handler(_request: Request) -> None:
        structlog.get_logger().warning("something")

    database = Database(f"sqlite:///{tmp_path}/empty.db")
    headers = {"X-Auth-Token": token(PROJECT)}
    with capture_logs(processors=[merge_contextvars]) as logs:
        async with client(database, load(None, {}, data=str(tmp_path)), [service], **headers) as http:
            answers = [await http.get("/thing") for _ in range(2)]
    database.close()
    found = [(entry["request_id"], entry["project"]) for entry in logs if entry["event"] == "something"]
    assert found == [(answer.headers["x-openstack-request-id"], PROJECT) for answer in answers]
