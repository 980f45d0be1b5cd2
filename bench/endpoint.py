"""A cloud as its clients see it: a login, its services by the catalog, requests to them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec

from bench.http import Connection, Origin
from bench.options import Login

PATIENCE = 300.0  # seconds for anything that a cloud or a guest does, on a busy machine
T = TypeVar("T")
_VOLUME = ("block-storage", "volumev3", "volume")


class Broken(Exception):
    """It cannot be measured; the message says why."""


@dataclass(frozen=True)
class Service:
    """One service with a token. `pause` is how long a client waits between two looks, in seconds."""

    origin: Origin
    path: str
    headers: dict[str, str]
    connection: Connection
    pause: float

    def request(self, method: str, path: str, body: Any = None) -> bytes:
        """A request to `path` below the service's own."""
        return self.origin.request(method, self.path + path, self.headers, body)

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The answer's JSON, None if it has none; `Broken` for a refusal."""
        answer = await self.connection.exchange(self.request(method, path, body))
        if answer.status >= 400:
            raise Broken(f"{method} {self.path}{path} answered {answer.status}: {answer.body[:500].decode()}")
        return msgspec.json.decode(answer.body) if answer.body else None

    async def until(self, path: str, kind: str, *wanted: str) -> Any:
        """Look until the resource at `path` has one of these statuses. An error status is `Broken`."""

        async def look() -> Any:
            found = (await self.ask("GET", path))[kind]
            status = str(found["status"])
            if status.lower().startswith("error") and status not in wanted:
                raise Broken(f"{kind} {found['id']} is in {status}: {found}")
            return found if status in wanted else None

        return await until(f"{path} is {' or '.join(wanted)}", look, self.pause)

    async def until_gone(self, path: str) -> None:
        async def look() -> bool:
            return (await self.connection.exchange(self.request("GET", path))).status == 404

        await until(f"{path} is gone", look, self.pause)


@dataclass(frozen=True)
class Endpoint:
    """The services of a cloud. `compute` and `image` are None where the catalog has none. `made` has the paths of
    all volumes and snapshots that are still to be deleted."""

    volume: Service
    compute: Service | None
    image: Service | None
    project_id: str
    user_id: str
    made: dict[str, None] = field(default_factory=dict)

    async def make(self, kind: str, body: dict[str, Any]) -> str:
        """The id of a new volume or snapshot, which is not made yet."""
        ident = str((await self.volume.ask("POST", f"/{kind}s", {kind: body}))[kind]["id"])
        self.made[f"/{kind}s/{ident}"] = None
        return ident

    async def delete(self, paths: Iterable[str]) -> None:
        """Returns when they are gone."""
        paths = list(paths)
        for path in paths:
            await self.volume.ask("DELETE", path)
        for path in paths:
            await self.volume.until_gone(path)
            self.made.pop(path, None)

    async def clean(self) -> None:
        """Delete all that is left: snapshots first, since a volume stays as long as it has some."""
        for kind in ("/snapshots/", "/volumes/"):
            await self.delete([path for path in self.made if path.startswith(kind)])


async def until(what: str, look: Callable[[], Awaitable[T]], pause: float) -> T:
    """Look every `pause` seconds until the answer is true."""
    give_up = time.monotonic() + PATIENCE
    while not (found := await look()):
        if time.monotonic() > give_up:
            raise Broken(f"after {PATIENCE:g} s it is still not so that {what}")
        await asyncio.sleep(pause)
    return found


async def login(wanted: Login, *, pause: float) -> Endpoint:
    """Log in with a password, and find the services. `pause` as in `Service`."""
    url = wanted.auth_url.rstrip("/")
    url = url if url.endswith("/v3") else f"{url}/v3"
    user = {"name": wanted.username, "domain": {"name": wanted.user_domain_name}, "password": wanted.password}
    project = {"name": wanted.project_name, "domain": {"name": wanted.project_domain_name}}
    body = {
        "auth": {
            "identity": {"methods": ["password"], "password": {"user": user}},
            "scope": {"project": project},
        }
    }
    origin = Origin.of(url)
    connection = Connection(origin)
    answer = await connection.exchange(origin.request("POST", urlsplit(url).path + "/auth/tokens", {}, body))
    connection.close()
    if answer.status != 201:
        raise Broken(f"The login at {url} was answered {answer.status}: {answer.body[:500].decode()}")
    token = msgspec.json.decode(answer.body)["token"]
    headers = {"X-Auth-Token": answer.headers["x-subject-token"]}

    def service(*types: str, below: str = "", version: str | None = None) -> Service | None:
        found = _url(token["catalog"], types, wanted.region_name)
        if found is None:
            return None
        where = Origin.of(found)
        asked = headers if version is None else {**headers, "OpenStack-API-Version": version}
        return Service(where, urlsplit(found).path.rstrip("/") + below, asked, Connection(where), pause)

    volume = service(*_VOLUME)
    if volume is None:
        raise Broken(f"The catalog at {url} has no volume service.")
    compute, image = service("compute", version="compute 2.37"), service("image", below="/v2")
    return Endpoint(volume, compute, image, token["project"]["id"], token["user"]["id"])


def _url(catalog: list[dict[str, Any]], types: tuple[str, ...], region: str | None) -> str | None:
    for wanted in types:
        for entry in catalog:
            for endpoint in entry["endpoints"]:
                right = endpoint["interface"] == "public" and region in (None, endpoint["region_id"])
                if entry["type"] == wanted and right:
                    return str(endpoint["url"])
    return None
