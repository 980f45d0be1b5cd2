"""A backend in another process, as a second engine has it: a local one, or what another place gives.

The process reads calls from its standard input and writes what comes of them to its standard output, both pickled.
A pool cannot travel: each side puts its own into the plugs.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from cyclades.backends.base import Backend, Plug, ServerSpec
from cyclades.backends.local import LocalBackend
from cyclades.pools.qcow2 import Qcow2Pool
from cyclades.store.database import Database

_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Place:
    """Where a backend and its pool are: `directory` has both, and QEMU's user can reach it. `group` may open the
    pool's files."""

    directory: Path
    database_url: str
    group: int | None

    def pool(self, database: Database) -> Qcow2Pool:
        return Qcow2Pool("local", self.directory / "pool", database, group=self.group)

    def backend(self, **options: Any) -> LocalBackend:
        """One that waits for no guest, since there is none."""
        values: dict[str, Any] = {"accelerator": "tcg", "reboot_patience": 0.1}
        return LocalBackend("local", self.directory / "servers", **(values | options))

    def twin(self, database: Database) -> Backend:
        """As another engine has it."""
        return self.backend()


class OtherProcess:
    """The process, for one place at a time."""

    def __init__(self) -> None:
        environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
        command = [sys.executable, "-m", "tests.backends.other_process"]
        self._process = subprocess.Popen(
            command, cwd=_ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    async def call(self, method: str, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        return await asyncio.to_thread(self._call, method, args, named)

    def _call(self, method: str, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        pickle.dump((method, args, named), self._process.stdin)
        self._process.stdin.flush()
        outcome = pickle.load(self._process.stdout)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)


class Twin:
    """The other process's backend; every method of `Backend` that returns data."""

    def __init__(self, process: OtherProcess) -> None:
        self._process = process

    def __getattr__(self, method: str) -> Callable[..., Any]:
        async def call(*args: Any, **named: Any) -> Any:
            return await self._process.call(method, tuple(_with_pool(arg, None) for arg in args), named)

        return call


def _with_pool(value: Any, pool: Any) -> Any:
    if isinstance(value, Plug):
        return replace(value, pool=pool)
    if isinstance(value, ServerSpec):
        return replace(value, plugs=tuple(replace(plug, pool=pool) for plug in value.plugs))
    return value


class _Server:
    def __init__(self) -> None:
        self._database: Database | None = None
        self._pool: Qcow2Pool | None = None
        self._backend: Backend | None = None

    async def use(self, place: Place) -> None:
        await self.leave()
        self._database = Database(place.database_url)
        self._pool, self._backend = place.pool(self._database), place.twin(self._database)

    async def leave(self) -> None:
        if self._backend is not None and self._database is not None:
            await self._backend.close()
            self._database.close()
            self._backend = None

    async def answer(self, method: str, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        if method in ("use", "leave"):
            return await getattr(self, method)(*args)
        result = await getattr(self._backend, method)(*(_with_pool(arg, self._pool) for arg in args), **named)
        return "is there" if method == "live_disk" and result is not None else result


async def _serve(calls: IO[bytes], answers: IO[bytes]) -> None:
    server = _Server()
    while True:
        try:
            method, args, named = await asyncio.to_thread(pickle.load, calls)
        except EOFError:
            return await server.leave()
        try:
            outcome = await server.answer(method, args, named)
        except Exception as error:
            outcome = error
        pickle.dump(outcome, answers)
        answers.flush()


if __name__ == "__main__":
    _answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    sys.stdout = sys.stderr  # logs must not come between the answers
    asyncio.run(_serve(sys.stdin.buffer, _answers))
