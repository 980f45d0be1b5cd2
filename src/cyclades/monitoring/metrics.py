"""What a process counts of its own work, for Prometheus: requests, operations, transactions.

Labels have few values: services, templates of routes, kinds and steps; never ids, names or paths.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Gauge, Histogram, ProcessCollector
from prometheus_client.registry import Collector

from cyclades import __version__
from cyclades.monitoring.requests import Requests
from cyclades.store.database import Database

# Seconds.
_OF_STEPS = (0.01, 0.1, 0.5, 2.0, 10.0, 60.0, 600.0)
_OF_OPERATIONS = (0.1, 1.0, 5.0, 30.0, 120.0, 600.0, 3600.0)
_OF_WRITES = (0.002, 0.01, 0.05, 0.25, 1.0, 5.0)


class Metrics:
    """All of one process. `also` is what is found out only when somebody asks."""

    def __init__(self, db: Database, *also: Collector) -> None:
        self.registry = own = CollectorRegistry()
        requests = Requests()
        own.register(requests)
        self.request = requests.count
        by_step = ("kind", "step", "direction", "outcome")
        text = "A try of a step of an operation, or of its undo."
        self._steps = Histogram("cyclades_operation_step_seconds", text, by_step, buckets=_OF_STEPS, registry=own)
        text = "From when an operation was asked for until it ended."
        by_end = ("kind", "outcome")
        self._operations = Histogram("cyclades_operation_seconds", text, by_end, buckets=_OF_OPERATIONS, registry=own)
        text = "Transactions that have not been committed yet."
        waiting = Gauge("cyclades_database_writes_waiting", text, registry=own)
        waiting.set_function(lambda: db.writes_waiting)
        text = "From when a transaction was asked for until it was committed."
        writes = Histogram("cyclades_database_write_seconds", text, buckets=_OF_WRITES, registry=own)
        db.told_of_write = writes.observe
        version = Gauge("cyclades_build_info", "Which version this is.", ("version",), registry=own)
        version.labels(__version__).set(1)
        ProcessCollector(registry=own)
        for collector in also:
            own.register(collector)

    def step(self, kind: str, step: str, direction: str, outcome: str, seconds: float) -> None:
        """A step was tried, or (`direction` back) its undo."""
        self._steps.labels(kind, step, direction, outcome).observe(seconds)

    def operation(self, kind: str, outcome: str, seconds: float) -> None:
        """An operation has ended."""
        self._operations.labels(kind, outcome).observe(seconds)
