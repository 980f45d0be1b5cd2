"""Which crash cases run: a sample by a seed, which the test run prints first, larger on SQLite than on PostgreSQL.

`CYCLADES_CRASH_SEED` repeats a sample, `CYCLADES_CRASH_CASES=all` runs all cases everywhere.
"""

from __future__ import annotations

import os
import random

_SEED = "CYCLADES_CRASH_SEED"
_SHARE = {"sqlite": 0.3, "postgres": 0.06, "ganeti": 0.15, "ceph": 0.1}


def choose_seed() -> str:
    """To be called before xdist starts its workers: they inherit the seed with the environment, and collect the
    same cases. Returns what to tell people."""
    seed = os.environ.setdefault(_SEED, str(random.randrange(1 << 31)))
    return "crash cases: all" if everything() else f"crash cases: {_SEED}={seed}"


def is_chosen(kind: str, case: str) -> bool:
    """`kind` is that of the database, or `ganeti` or `ceph` for cases on those."""
    return everything() or random.Random(f"{os.environ[_SEED]} {case}").random() < _SHARE[kind]


def everything() -> bool:
    """Whether this run is to try all that there is to try, however long it takes."""
    return os.environ.get("CYCLADES_CRASH_CASES") == "all"


def some(count: int, most: int, case: str) -> list[int]:
    """Numbers below `count`: at most so many, or all of them."""
    if everything():
        return list(range(count))
    return sorted(random.Random(f"{os.environ[_SEED]} {case}").sample(range(count), min(most, count)))
