"""64 clients in several processes against a quota that admits 10: 1,000 times on each database, or a sample of them."""

from __future__ import annotations

import pytest
from tests import crash_cases
from tests.store.racers import ADMITTED, KINDS, TYPE, living, prepare, race

from cyclades.store import quota_check, volume_types
from cyclades.store.database import Database, Tx

TIMES = 1_000 // len(KINDS)  # of each kind
SAMPLE = 10


@pytest.mark.parametrize("kind", KINDS)
def test_exactly_as_many_as_the_quota_admits(database: Database, kind: str) -> None:
    projects = [f"{number:032}" for number in crash_cases.some(TIMES, SAMPLE, f"quota races {kind}")]

    def begin(tx: Tx) -> None:
        volume_types.add(tx, TYPE, name="standard", is_public=True, is_default=True, extra_specs={})
        for project_id in projects:
            prepare(tx, kind, project_id)

    database.write_now(begin)
    race(database, kind, projects)
    assert database.read_now(lambda tx: living(tx, kind)) == dict.fromkeys(projects, ADMITTED)
    used = database.read_now(quota_check.used_now)
    resource, each = KINDS[kind].resource, KINDS[kind].each
    assert {key: used[key] for key in used if key[1] == resource} == {
        (project_id, resource): ADMITTED * each for project_id in projects
    }
    assert database.read_now(quota_check.differences) == ([], set())
