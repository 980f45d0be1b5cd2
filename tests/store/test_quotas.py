"""Quotas never pass a limit and never drift, however many take and give at once."""

from __future__ import annotations

import asyncio

import pytest

from cyclades.config import Quotas
from cyclades.model.errors import OverQuota
from cyclades.store import quotas
from cyclades.store.database import Database, Tx

PROJECT = "p" * 32
DEFAULTS = Quotas(volumes=10, gigabytes=100)


async def test_taken_given_back_and_counted(database: Database) -> None:
    await database.write(lambda tx: quotas.take(tx, DEFAULTS, PROJECT, {"volumes": 2, "gigabytes": 30}))
    await database.write(lambda tx: quotas.give_back(tx, PROJECT, {"volumes": 1, "gigabytes": 10}))
    usage = await database.read(lambda tx: quotas.usage(tx, PROJECT))
    assert (usage["volumes"], usage["gigabytes"]) == (1, 20)


async def test_a_refusal_takes_nothing_of_the_other_resources(database: Database) -> None:
    with pytest.raises(OverQuota) as refused:
        await database.write(lambda tx: quotas.take(tx, DEFAULTS, PROJECT, {"gigabytes": 1, "volumes": 11}))
    assert (refused.value.resource, refused.value.asked, refused.value.limit) == ("volumes", 11, 10)
    assert not any((await database.read(lambda tx: quotas.usage(tx, PROJECT))).values())


async def test_a_projects_own_limit_wins_and_can_be_forgotten(database: Database) -> None:
    await database.write(lambda tx: quotas.set_limit(tx, PROJECT, "volumes", 0))
    with pytest.raises(OverQuota):
        await database.write(lambda tx: quotas.take(tx, DEFAULTS, PROJECT, {"volumes": 1}))
    await database.write(lambda tx: quotas.set_limit(tx, PROJECT, "volumes", -1))
    await database.write(lambda tx: quotas.take(tx, DEFAULTS, PROJECT, {"volumes": 1000}))
    await database.write(lambda tx: quotas.forget_limits(tx, PROJECT, ["volumes"]))
    limits = await database.read(lambda tx: quotas.limits(tx, DEFAULTS, PROJECT))
    assert limits["volumes"] == 10


async def test_the_classs_limit_is_for_projects_without_one_of_their_own(database: Database) -> None:
    def limits(tx: Tx) -> tuple[int, int]:
        found = quotas.limits(tx, DEFAULTS, PROJECT)
        return found["volumes"], found["gigabytes"]

    await database.write(lambda tx: quotas.set_class_limit(tx, "volumes", 3))
    await database.write(lambda tx: quotas.set_class_limit(tx, "gigabytes", 50))
    await database.write(lambda tx: quotas.set_limit(tx, PROJECT, "gigabytes", 70))
    assert await database.read(limits) == (3, 70)
    with pytest.raises(OverQuota):
        await database.write(lambda tx: quotas.take(tx, DEFAULTS, PROJECT, {"volumes": 4}))
    await database.write(lambda tx: quotas.forget_limits(tx, PROJECT, ["volumes", "gigabytes"]))
    assert await database.read(limits) == (3, 50)
    defaults = await database.read(lambda tx: quotas.defaults(tx, DEFAULTS))
    assert (defaults["volumes"], defaults["gigabytes"]) == (3, 50)


async def test_many_at_once_never_pass_the_limit(database: Database) -> None:
    def take(tx: Tx) -> None:
        quotas.take(tx, DEFAULTS, PROJECT, {"volumes": 1, "gigabytes": 3})

    outcomes = await asyncio.gather(*(database.write(take) for _ in range(64)), return_exceptions=True)
    assert [type(o) for o in outcomes].count(type(None)) == 10
    assert {type(o) for o in outcomes} == {type(None), OverQuota}
    usage = await database.read(lambda tx: quotas.usage(tx, PROJECT))
    assert (usage["volumes"], usage["gigabytes"]) == (10, 30)
