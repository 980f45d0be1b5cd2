"""Which crash cases run: on SQLite all, on PostgreSQL a sample by a seed, which pytest's header prints.

`CYCLADES_CRASH_SEED` repeats a sample, `CYCLADES_CRASH_CASES=all` runs all cases everywhere.
"""

from __future__ import annotations

import os
import random

import pytest

_SEED = "CYCLADES_CRASH_SEED"
_SHARE = {"sqlite": 1.0, "postgres": 0.15}


def pytest_report_header() -> str:
    return f"crash cases: {'all' if _all() else f'seed {_seed()}'}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if _all():
        return
    left_out = [item for item in items if item.nodeid.startswith("tests/crash/test_crash.py") and not _chosen(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


def _chosen(item: pytest.Item) -> bool:
    callspec = getattr(item, "callspec", None)
    if callspec is None:
        return True
    share = _SHARE[callspec.params["database_kind"]]
    return random.Random(f"{_seed()} {callspec.id}").random() < share


def _all() -> bool:
    return os.environ.get("CYCLADES_CRASH_CASES") == "all"


def _seed() -> str:
    # Kept in the environment, which xdist's workers inherit from the process that starts them.
    return os.environ.setdefault(_SEED, str(random.randrange(1 << 31)))
