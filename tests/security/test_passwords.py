from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from cyclades.config import Identity
from cyclades.model.errors import Unavailable
from cyclades.security import passwords as passwords_module
from cyclades.security.passwords import Passwords


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    made = Passwords(Identity(hash_memory=64))
    yield made
    made.close()


async def test_right_and_wrong(passwords: Passwords) -> None:
    stored = await passwords.hash("pässword")
    assert "pässword" not in stored
    assert stored != await passwords.hash("pässword")
    assert await passwords.verify(stored, "pässword")
    assert not await passwords.verify(stored, "password")
    assert not await passwords.verify("not a hash", "password")


async def test_without_a_user_the_work_is_the_same(passwords: Passwords, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same hash function, with the same costs, runs to its end."""
    worked: list[str] = []
    verify = PasswordHasher.verify

    def counted(self: object, stored: str, password: str) -> bool:
        worked.append(stored)
        return verify(passwords._hasher, stored, password)

    monkeypatch.setattr(PasswordHasher, "verify", counted)
    real = await passwords.hash("x")
    assert not await passwords.verify(real, "y")
    assert not await passwords.verify(None, "y")
    assert [stored.split("$")[:4] for stored in worked] == [real.split("$")[:4]] * 2
    assert len(worked[0]) == len(worked[1])


async def test_outdated(passwords: Passwords) -> None:
    stored = await passwords.hash("x")
    dearer = Passwords(Identity(hash_memory=128))
    assert not passwords.is_outdated(stored)
    assert dearer.is_outdated(stored)
    assert await dearer.verify(stored, "x")
    dearer.close()


async def test_few_may_wait(passwords: Passwords, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords_module, "_MOST_WAITING", 3)
    outcomes = await asyncio.gather(*(passwords.hash("x") for _ in range(5)), return_exceptions=True)
    assert sum(isinstance(outcome, Unavailable) for outcome in outcomes) == 2
    assert isinstance(await passwords.hash("x"), str)


async def test_the_memory_of_a_hash_is_given_back() -> None:
    costly = Passwords(Identity(hash_memory=24 * 1024, hash_at_once=2))
    try:
        before = _resident_kib()
        for _ in range(3):  # from the second one on it would be kept
            await asyncio.gather(costly.hash("a"), costly.hash("b"))
        assert _resident_kib() - before < 12 * 1024
    finally:
        costly.close()


def _resident_kib() -> int:
    with Path("/proc/self/status").open() as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))
