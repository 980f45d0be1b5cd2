"""What a running cloud serves to who watches it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.cli.stage import Cloud, write_config
from tests.monitoring.figures import samples, value
from tests.processes import LIMIT, Process, command, environment, free_address, wait_until


@pytest.fixture
def watched(stopped: Cloud) -> Iterator[httpx.Client]:
    host, port = free_address()
    stopped.environment |= {"CYCLADES_MONITORING_HOST": host, "CYCLADES_MONITORING_PORT": str(port)}
    stopped.start()
    with httpx.Client(base_url=f"http://{host}:{port}", timeout=LIMIT) as http:
        yield http


def test_a_cloud_that_works_is_counted(stopped: Cloud, watched: httpx.Client) -> None:
    made = stopped.make()
    answer = watched.get("/metrics")
    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, "text/plain")
    assert made["id"] not in answer.text
    found = samples(answer.text)
    assert value(found, "operation_seconds_count", kind="volume_create", outcome="done") == 1
    of_step = {"kind": "volume_create", "step": "make_disk", "direction": "forward", "outcome": "done"}
    assert value(found, "operation_step_seconds_count", **of_step) == 1
    assert value(found, "processes", kind="engine") == 1
    assert (value(found, "database_write_seconds_count") or 0) > 0
    wait_until(
        "the pool was looked at", lambda: value(samples(watched.get("/metrics").text), "pool_up", pool="local") == 1
    )


def test_ready_as_long_as_the_keys_are_there(stopped: Cloud, watched: httpx.Client) -> None:
    assert watched.get("/healthz").status_code == 200
    assert watched.get("/readyz").json() == {"status": "ready"}
    for file in (stopped.data / "keys").glob("secrets-*"):
        file.unlink()
    wait_until("that is seen", lambda: watched.get("/readyz").status_code == 503)
    assert list(watched.get("/readyz").json()["problems"]) == ["keys"]
    assert watched.get("/nothing").status_code == 404
    assert watched.post("/metrics").status_code == 405


def test_an_engine_alone_is_watched(new_postgres: object, tmp_path: Path) -> None:
    url = new_postgres("watched")  # type: ignore[operator]
    cloud = Cloud(write_config(tmp_path, tmp_path / "data", url), tmp_path / "data", url)
    host, port = free_address()
    settings = environment(CYCLADES_MONITORING_HOST=host, CYCLADES_MONITORING_PORT=str(port))
    cloud.process = Process(tmp_path / "log", "engine", "--config", cloud.config, **settings)
    try:
        cloud.process.ready()
        assert httpx.get(f"http://{host}:{port}/readyz", timeout=LIMIT).json() == {"status": "ready"}
        found = samples(httpx.get(f"http://{host}:{port}/metrics", timeout=LIMIT).text)
        assert value(found, "queue_seconds") == 0
    finally:
        cloud.end()


def test_an_address_that_is_taken_is_refused(stopped: Cloud) -> None:
    with socket.socket() as taken:
        taken.bind((free_address()[0], 0))
        taken.listen()
        host, port = taken.getsockname()
        settings = {"CYCLADES_MONITORING_HOST": host, "CYCLADES_MONITORING_PORT": str(port)}
        done = command("up", "--config", stopped.config, **settings)
    assert done.returncode == 1
    assert f"Cannot listen on {host}:{port}" in done.stderr
