"""What is served to who watches a process: `/metrics`, `/healthz` and `/readyz`, at an address of its own.

It has no secrets, and asks for none: who can reach the address may read it.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import structlog
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from cyclades.monitoring.metrics import Metrics
from cyclades.monitoring.readiness import Readiness

FRESH = 2.0  # seconds that the same figures are given again, however many ask
_JSON = "application/json"

log = structlog.get_logger("cyclades.monitoring")


class Pages:
    """An ASGI application. Figures are put together in a thread of their own, beside the requests of clients."""

    def __init__(self, metrics: Metrics, readiness: Readiness) -> None:
        self._metrics, self._readiness = metrics, readiness
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="metrics")
        self._made: asyncio.Future[bytes] | None = None
        self._made_at = -FRESH

    def close(self) -> None:
        self._thread.shutdown()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        status, media, body = await self._answer(scope["path"], scope["method"])
        headers = [(b"content-type", media.encode()), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def _answer(self, path: str, method: str) -> tuple[int, str, bytes]:
        if method not in ("GET", "HEAD"):
            return 405, _JSON, b'{"error": "only GET and HEAD"}'
        if path == "/metrics":
            try:
                return 200, CONTENT_TYPE_LATEST, await self._figures()
            except Exception:
                log.exception("monitoring.metrics")
                return 503, _JSON, b'{"error": "the figures cannot be read; the log says why"}'
        if path == "/healthz":
            return 200, _JSON, b'{"status": "ok"}'
        if path == "/readyz":
            status, answer = await self._readiness.answer()
            return status, _JSON, msgspec.json.encode(answer)
        return 404, _JSON, b'{"error": "there are /metrics, /healthz and /readyz"}'

    async def _figures(self) -> bytes:
        """Put together once for all who ask at the same time, or shortly after."""
        if self._made is None or (self._made.done() and time.monotonic() - self._made_at >= FRESH):
            loop = asyncio.get_running_loop()
            self._made = loop.run_in_executor(self._thread, generate_latest, self._metrics.registry)
            self._made.add_done_callback(self._note)
        return await asyncio.shield(self._made)

    def _note(self, _made: asyncio.Future[bytes]) -> None:
        self._made_at = time.monotonic()
