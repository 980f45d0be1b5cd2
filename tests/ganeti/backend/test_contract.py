"""The Ganeti backend: what every backend does, on a real cluster whose instances are real QEMUs."""

from __future__ import annotations

from tests.backends.contract import BackendContract


class TestContract(BackendContract):
    pass
