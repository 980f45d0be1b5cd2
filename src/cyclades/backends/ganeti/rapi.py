"""Ganeti's RAPI, request by request.

Ganeti closes each connection after its answer, and forks for each; so few are open at a time.
"""

from __future__ import annotations

import asyncio
import html
import ssl
from collections.abc import Mapping
from typing import Any

import httpx
import msgspec

from cyclades.backends.ganeti.options import Access
from cyclades.model.errors import Away, Failed

_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 30.0  # that an answer may take in all; RAPI itself waits up to a minute for the master's daemon
_AT_ONCE = 6  # of the 20 requests that RAPI works on at a time
_MOST_BYTES = 64 << 20  # of an answer; a queue of 20,000 jobs has half of it
_NO_LOG = 1 << 30  # no job's log is longer: we do not wait for its next line
_MOST_SAID = 1000  # characters of a reason


class Unheard(Away):
    """It is certain that Ganeti has not taken in the request."""


class NotThere(Failed):
    """Ganeti does not know what was asked for."""


class Rapi:
    """One cluster, called `name` in what users read. Errors: `Away` where it is too far, too slow or too busy (it may
    have heard the request, unless it is `Unheard`), `NotThere`, and `Failed` with Ganeti's own words."""

    def __init__(self, name: str, access: Access, *, answer_seconds: float = _ANSWER_SECONDS) -> None:
        self._who, self._answer_seconds = f"Ganeti cluster {name}", answer_seconds
        self._client = httpx.AsyncClient(
            base_url=access.url,
            auth=(access.user, access.password),
            verify=_pinned(access.certificate),
            timeout=httpx.Timeout(answer_seconds, connect=_CONNECT_SECONDS, pool=None),
            limits=httpx.Limits(max_keepalive_connections=0),
            trust_env=False,
        )
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def close(self) -> None:
        await self._client.aclose()

    async def get(self, path: str, **query: str) -> Any:
        return await self._ask("GET", path, query, None)

    async def query(self, what: str, fields: list[str], only: list[Any] | None = None) -> list[list[Any]]:
        """A row of values for each thing (`instance`, `job`, `node`) that the filter `only` lets through; None for a
        value that Ganeti does not have."""
        answer = await self._ask("PUT", f"/2/query/{what}", {}, {"fields": fields, "qfilter": only})
        return [[value for _, value in row] for row in answer["data"]]

    async def status_after(self, job: int, status: str | None) -> str | None:
        """The status of a job once it is another one than `status`; the same if that took more than 10 seconds."""
        body = {"fields": ["status"], "previous_job_info": [status], "previous_log_serial": _NO_LOG}
        answer = await self._ask("GET", f"/2/jobs/{job}/wait", {}, body)
        return status if answer is None else answer["job_info"][0]

    async def submit(self, method: str, path: str, body: Mapping[str, Any] | None, **query: str) -> int:
        """Begin a job; its id."""
        job: int = await self._ask(method, path, query, body)
        return job

    async def _ask(self, method: str, path: str, query: Mapping[str, str], body: Any) -> Any:
        async with self._room:  # how long one of ours waits for the others says nothing of the cluster
            return await self._answer(method, path, query, body)

    async def _answer(self, method: str, path: str, query: Mapping[str, str], body: Any) -> Any:
        try:
            async with asyncio.timeout(self._answer_seconds):
                status, content = await self._exchange(method, path, query, body)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise Unheard(f"{self._who} cannot be reached: {_why(error)}.") from error
        except (httpx.TimeoutException, TimeoutError) as error:
            raise Away(f"{self._who} does not answer in time.") from error
        except httpx.TransportError as error:
            raise Away(f"The connection to {self._who} broke off.") from error
        if status == 200:
            return _decoded(content, self._who)
        raise self._fault(status, content)

    async def _exchange(self, method: str, path: str, query: Mapping[str, str], body: Any) -> tuple[int, bytes]:
        content = None if body is None else msgspec.json.encode(body)
        headers = {"Content-Type": "application/json"} if content else {}
        request = self._client.stream(method, path, params=query, content=content, headers=headers)
        async with request as answer:
            parts, size = [], 0
            async for part in answer.aiter_raw():
                parts.append(part)
                if (size := size + len(part)) > _MOST_BYTES:
                    raise Away(f"{self._who} answers with more than {_MOST_BYTES >> 20} MiB; archive its jobs.")
            return answer.status_code, b"".join(parts)

    def _fault(self, status: int, content: bytes) -> Failed | Away:
        said = _explained(content)
        if status == 404 or "unknown_entity" in said:
            return NotThere(f"{self._who} does not know it.")
        if status in (401, 403):
            return Unheard(f"{self._who} does not let Cyclades in: {said or 'user or password are wrong'}.")
        if status == 503 or "drained" in said:
            return Unheard(f"{self._who} takes no work just now: {said}.")
        if status >= 500:
            return Away(f"{self._who} cannot work just now: {said}.")
        return Failed(f"{self._who} refuses the request: {said}.")


def _pinned(certificate: str) -> ssl.SSLContext:
    """Trust in this certificate alone, whatever name it has: Ganeti makes one for `ganeti.example.com`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        context.load_verify_locations(cadata=certificate)
    except (ssl.SSLError, ValueError) as error:
        raise ValueError(f"The cluster's certificate cannot be read: {error}.") from error
    return context


def _why(error: BaseException) -> str:
    """What users are told: no addresses."""
    said = str(error)
    if "CERTIFICATE_VERIFY_FAILED" in said:
        return "its certificate is not the one that was pinned, or has expired"
    if isinstance(error, httpx.ConnectTimeout):
        return "it does not answer"
    return "nothing listens there" if "refused" in said or "attempts failed" in said else "there is no way to it"


def _decoded(content: bytes, who: str) -> Any:
    try:
        return msgspec.json.decode(content)
    except msgspec.DecodeError as error:
        raise Away(f"{who} answers what is not JSON.") from error


def _explained(content: bytes) -> str:
    """Ganeti's own words in the body of an error."""
    try:
        body = msgspec.json.decode(content)
        said = body.get("message") or body.get("explain") or ""
    except (msgspec.DecodeError, AttributeError):
        said = ""
    return html.unescape(str(said))[:_MOST_SAID].strip().rstrip(".") or "it does not say why"
