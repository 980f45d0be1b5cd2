"""What a client sees of a service at a microversion: what came with a version is there from that version on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import httpx

from cyclades.api.http.versions import Version

# Asks a client, given the ids of what there is, and returns what can be seen.
Probe = Callable[[httpx.AsyncClient, dict[str, str]], Awaitable[Any]]


class Case(NamedTuple):
    """What a probe sees from a version on, and before."""

    version: Version
    what: str
    probe: Probe
    old: Any
    new: Any
    who: str = "admin"


class Probes:
    """Of the service at `base`. Paths and bodies may name ids: `{volume}`."""

    def __init__(self, base: str) -> None:
        self._base = base

    async def _ask(
        self, who: httpx.AsyncClient, ids: dict[str, str], method: str, path: str, body: Any = None
    ) -> httpx.Response:
        return await who.request(method, f"{self._base}/{path.format(**ids)}", json=_filled(body, ids))

    def has(self, path: str, *keys: str) -> Probe:
        """Whether the answer has a field; `keys` lead to it."""

        async def probe(who: httpx.AsyncClient, ids: dict[str, str]) -> bool:
            return keys[-1] in _inside((await self._ask(who, ids, "GET", path)).json(), keys[:-1])

        return probe

    def value(self, path: str, *keys: str) -> Probe:
        async def probe(who: httpx.AsyncClient, ids: dict[str, str]) -> Any:
            return _inside((await self._ask(who, ids, "GET", path)).json(), keys)

        return probe

    def number(self, path: str, key: str | None = None) -> Probe:
        """How many rows a list has; None if it is refused."""

        async def probe(who: httpx.AsyncClient, ids: dict[str, str]) -> int | None:
            answer = await self._ask(who, ids, "GET", path)
            return len(answer.json()[key or path.partition("?")[0]]) if answer.status_code == 200 else None

        return probe

    def code(self, method: str, path: str, body: Any = None) -> Probe:
        async def probe(who: httpx.AsyncClient, ids: dict[str, str]) -> int:
            return (await self._ask(who, ids, method, path, body)).status_code

        return probe

    def says(self, method: str, path: str, body: Any, word: str) -> Probe:
        """Whether the answer has a word."""

        async def probe(who: httpx.AsyncClient, ids: dict[str, str]) -> bool:
            return word in (await self._ask(who, ids, method, path, body)).text

        return probe


def _inside(answer: Any, keys: tuple[str, ...]) -> Any:
    for key in keys:
        answer = answer[int(key)] if key.isdigit() else answer[key]
    return answer


def _filled(value: Any, ids: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(inner, ids) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, ids) for inner in value]
    return value.format(**ids) if isinstance(value, str) else value
