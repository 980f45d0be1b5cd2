"""Every route, with what a hostile client sends it: a clear refusal or an answer, never an unexpected error, and a
refusal changes nothing. Made from the route tables: a new route is in it by itself.

Each place of a body and each route meets some of the values, other ones next to it; `make test-all` tries all.
"""

from __future__ import annotations

import itertools
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import structlog
from tests import crash_cases
from tests.api import hostile
from tests.api.whole import SERVICES, Whole, whole

from cyclades.api.compute import server_actions
from cyclades.api.http.ended import until_ended
from cyclades.api.http.service import Route, Service
from cyclades.api.image import data
from cyclades.api.volume import manage
from cyclades.store.database import Database

_PREFIXES = [service.prefix for service in SERVICES if service.name != "events"]


@pytest.fixture
def cloud(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Whole]:
    for module in (server_actions, data, manage):
        # No engine runs: the few answers that only one can give are not waited for.
        monkeypatch.setattr(module, "until_ended", partial(_not_waiting, until_ended))
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with whole(database, tmp_path) as made:
        yield made
    structlog.reset_defaults()


async def _not_waiting(until: Callable[..., Any], db: Database, op_id: str, _seconds: float) -> Any:
    return await until(db, op_id, 0)


class Few:
    """Some of the values: the next ones each time."""

    def __init__(self, values: Sequence[Any], many: int) -> None:
        self._values = itertools.cycle(values)
        self._many = len(values) if crash_cases.everything() else many

    def __iter__(self) -> Iterator[Any]:
        return itertools.islice(self._values, self._many)


def routes(prefix: str, *methods: str) -> Iterator[tuple[Service, Route]]:
    for service in SERVICES:
        for route in service.routes:
            if service.prefix == prefix and route.method in methods and not route.streams:
                yield service, route


def path_of(cloud: Whole, service: Service, route: Route, **instead: str) -> str:
    def part(match: re.Match[str]) -> str:
        return instead.get(match[1]) or quote(cloud.ids.get(match[1], "x"))

    return service.prefix + re.sub(r"\{(\w+)(?::path)?\}", part, route.path)


def client(cloud: Whole, service: Service, version: str | None = None) -> httpx.AsyncClient:
    headers = {}
    if service.versions is not None:
        headers["OpenStack-API-Version"] = f"{service.versions.name} {version or service.versions.most}"
    return cloud.client(cloud.ids["project_id"], "admin", "member", **headers)


class Watch:
    """Asks, and looks at each answer; and that nothing changed by all that was refused."""

    def __init__(self, cloud: Whole) -> None:
        self.cloud = cloud
        self.before: dict[str, list[Any]] | None = None

    async def ask(self, client: httpx.AsyncClient, method: str, url: str, what: Any = "", **sent: Any) -> None:
        if self.before is None:
            self.before = await self.cloud.everything()
        answer = await client.request(method, url, **sent)
        told = f"{method} {url[:200]} {str(what)[:200]}: {answer.status_code} {answer.text[:300]}"
        assert answer.status_code < 500 or answer.status_code == 503, told
        if answer.status_code < 400 or answer.status_code == 503:  # an engine was asked
            self.before = None
            return
        assert len(answer.content) < 8192, told
        if method != "HEAD":
            (fault,) = answer.json().values()
            assert fault["message"], told
            assert fault.get("code", answer.status_code) == answer.status_code, told

    async def nothing_changed(self) -> None:
        if self.before is not None:
            assert await self.cloud.everything() == self.before


@pytest.mark.parametrize("prefix", _PREFIXES)
async def test_bodies(cloud: Whole, prefix: str) -> None:
    values = Few(hostile.VALUES, 1)
    ids = [cloud.ids["volume_id"], cloud.ids["snapshot_id"]]
    for service, route in routes(prefix, "POST", "PUT", "PATCH"):
        watch, url = Watch(cloud), path_of(cloud, service, route)
        media = "application/openstack-images-v2.1-json-patch" if route.method == "PATCH" and "images" in url else ""
        for version, body, places in hostile.bodies(service, route, ids):
            async with client(cloud, service, version) as http:
                for place in places:
                    for value in values:
                        content = hostile.dumps(hostile.with_value(body, place, value))
                        headers = {"Content-Type": media or "application/json"}
                        what = f"{place}: {value!r}"
                        await watch.ask(http, route.method, url, what, content=content, headers=headers)
        await watch.nothing_changed()


@pytest.mark.parametrize("prefix", _PREFIXES)
async def test_ids(cloud: Whole, prefix: str) -> None:
    values, watch = Few(hostile.IDS, 5), Watch(cloud)
    for service, route in routes(prefix, "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"):
        sent = {"json": {route.action: None}} if route.action else {"json": {}} if route.body is not None else {}
        async with client(cloud, service) as http:
            for name in re.findall(r"\{(\w+)(?::path)?\}", route.path):
                for value in values:
                    url = path_of(cloud, service, route, **{name: value})
                    await watch.ask(http, route.method, url, f"{name}: {value}", **sent)
    await watch.nothing_changed()


@pytest.mark.parametrize("prefix", _PREFIXES)
async def test_queries(cloud: Whole, prefix: str) -> None:
    names, values, queries = Few(hostile.PARAMETERS, 8), Few(hostile.QUERY, 1), Few(hostile.QUERIES, 3)
    watch = Watch(cloud)
    for service, route in routes(prefix, "GET"):
        url = path_of(cloud, service, route)
        async with client(cloud, service) as http:
            for name in names:
                for value in values:
                    await watch.ask(http, "GET", f"{url}?{quote(name, safe='~')}={value}")
            for query in queries:
                await watch.ask(http, "GET", f"{url}?{query}")
            await watch.ask(http, "HEAD", url)
            await watch.ask(http, "GET", url, "a body", content=b'{"x": [')
    await watch.nothing_changed()


@pytest.mark.parametrize("prefix", _PREFIXES)
async def test_headers(cloud: Whole, prefix: str) -> None:
    values, watch = Few(hostile.HEADERS, 6), Watch(cloud)
    for service, route in routes(prefix, "GET", "POST", "PUT", "PATCH", "DELETE"):
        name = service.versions.name if service.versions else service.name
        async with client(cloud, service) as http:
            for header, text in values:
                sent = [(header.encode(), text.replace("{service}", name).encode("latin-1"))]
                content = None if route.method in ("GET", "DELETE") else b'{"x": {}}'
                url = path_of(cloud, service, route, **dict.fromkeys(re.findall(r"\{(\w+)", route.path), "x"))
                await watch.ask(http, route.method, url, sent, headers=sent, content=content)
    await watch.nothing_changed()
