"""What a running cloud writes to its log."""

from __future__ import annotations

import json
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.clouds import Cloud
from tests.processes import wait_until


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    made = Cloud(tmp_path / "cloud", CYCLADES_LOG_LEVEL="debug")
    made.start()
    yield made
    made.end()


def lines(cloud: Cloud) -> list[dict[str, Any]]:
    assert cloud.process is not None
    return [json.loads(line) for line in cloud.process.log().splitlines()]


def test_a_request_is_a_line_with_its_id(cloud: Cloud) -> None:
    demo = cloud.user()
    answer = demo.request("POST", "/volume/v3/volumes", {"volume": {"size": 1}})
    demo.until_volume(answer.json()["volume"]["id"], "available")
    request_id = answer.headers["x-openstack-request-id"]
    (line,) = [line for line in lines(cloud) if line["event"] == "request" and line["request_id"] == request_id]
    assert (line["method"], line["status"], line["level"]) == ("POST", 202, "info")
    assert line["project"]


def test_the_operation_of_a_request_is_found_by_its_id(cloud: Cloud) -> None:
    demo = cloud.user()
    answer = demo.request("POST", "/volume/v3/volumes", {"volume": {"size": 1}})
    volume_id = answer.json()["volume"]["id"]
    demo.until_volume(volume_id, "available")
    request_id = answer.headers["x-openstack-request-id"]

    def of_request() -> dict[str, dict[str, Any]]:
        return {line["event"]: line for line in lines(cloud) if line.get("request_id") == request_id}

    wait_until("the end is logged", lambda: "operation.done" in of_request())
    mine = of_request()
    asked, step, done = mine["request"], mine["operation.step"], mine["operation.done"]
    assert (step["kind"], step["step"], step["resource"]) == ("volume_create", "make_disk", f"volume {volume_id}")
    assert step["operation"] == done["operation"]
    assert asked["project"] == step["project"] == done["project"]


def test_what_libraries_log_has_the_same_form(cloud: Cloud) -> None:
    with socket.create_connection((cloud.host, cloud.port)) as speaking:
        speaking.sendall(b"this is not HTTP\r\n\r\n")
        assert speaking.recv(64).startswith(b"HTTP/1.1 400")
    (line,) = [line for line in lines(cloud) if line.get("logger") == "uvicorn.error"]
    assert (line["level"], line["event"]) == ("warning", "Invalid HTTP request received.")
    assert line["timestamp"]


def test_what_fails_unexpectedly_is_there_with_its_trace(cloud: Cloud) -> None:
    demo = cloud.user()
    with sqlite3.connect(cloud.data / "cyclades.db") as connection:
        connection.execute("ALTER TABLE volume_type RENAME TO gone")
    answer = demo.request("GET", "/volume/v3/types")
    assert answer.status_code == 500
    request_id = answer.headers["x-openstack-request-id"]
    assert "volume_type" not in answer.text
    (line,) = [line for line in lines(cloud) if line["event"] == "request.unexpected"]
    assert line["request_id"] == request_id
    assert line["exception"].startswith("Traceback")
    assert "no such table: volume_type" in line["exception"]


def test_it_has_no_secrets(cloud: Cloud) -> None:
    demo = cloud.user()
    demo.request("GET", "/volume/v3/volumes", headers={"X-Auth-Token": demo.token[:-1]})
    demo.new_volume()
    cloud.stop()
    assert cloud.process is not None
    said = cloud.process.log()
    passwords = [
        line.partition("=")[2].strip()
        for name in ("openrc", "openrc-demo")
        for line in (cloud.data / name).read_text().splitlines()
        if "PASSWORD" in line
    ]
    assert len(passwords) == 2
    for secret in (*passwords, demo.token, demo.token[:-1]):
        assert secret not in said
