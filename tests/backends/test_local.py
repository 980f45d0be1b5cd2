"""The local backend: what every backend does, on real QEMUs."""

from __future__ import annotations

from tests.backends.contract import BackendContract


class TestContract(BackendContract):
    pass
