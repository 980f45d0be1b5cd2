"""The RBD pool: what every pool does, and what is its own."""

from __future__ import annotations

from tests.pools.contract import PoolContract


class TestContract(PoolContract):
    pass
