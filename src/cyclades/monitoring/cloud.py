"""What the database knows of the whole cloud, for Prometheus: queues, processes, backends, pools, quotas, differences.

It is read when somebody asks for it, in the asker's thread. Each process tells the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from cyclades.config import Settings
from cyclades.model.presence import is_up
from cyclades.model.quota import NEARLY, RESOURCES
from cyclades.operations import placement
from cyclades.store import differences, operations, pools, quotas, servers, services
from cyclades.store.database import Database, Tx
from cyclades.store.schema import now


class CloudCollector(Collector):
    def __init__(self, db: Database, settings: Settings) -> None:
        self._db, self._settings = db, settings

    def describe(self) -> Iterable[Metric]:
        """Nothing: otherwise the registry would read the database to find out the names."""
        return ()

    def collect(self) -> Iterable[Metric]:
        return self._db.read_now(lambda tx: list(_metrics(tx, self._settings)))


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"cyclades_{name}", text, labels=labels)


def _metrics(tx: Tx, settings: Settings) -> Iterator[Metric]:
    moment = now()
    yield from _operations(tx, moment)
    yield from _processes(tx, moment)
    yield from _backends(tx, settings, moment)
    yield from _pools(tx, settings, moment)
    yield from _quotas(tx, settings)
    yield from _reconciliation(tx, moment)


def _operations(tx: Tx, moment: int) -> Iterator[Metric]:
    by = ("kind", "phase")
    number = _gauge("operations_open", "Operations that have not ended.", *by)
    oldest = _gauge("operations_oldest_seconds", "Since the oldest of them was asked for.", *by)
    for one in operations.waiting(tx):
        number.add_metric([one.kind, one.phase], one.number)
        oldest.add_metric([one.kind, one.phase], (moment - one.oldest) / 1e6)
    queue = _gauge("queue_seconds", "How long an operation that could be worked on has waited for an engine.")
    due = operations.next_due(tx)
    queue.add_metric([], 0.0 if due is None else max(moment - due, 0) / 1e6)
    yield from (number, oldest, queue)


def _processes(tx: Tx, moment: int) -> Iterator[Metric]:
    alive = _gauge("processes", "Processes that were seen not long ago: api, engine.", "kind")
    seen = [row.kind for row in services.every(tx) if is_up(row.seen_at, moment)]
    for kind in ("api", "engine"):
        alive.add_metric([kind], seen.count(kind))
    yield alive


def _backends(tx: Tx, settings: Settings, moment: int) -> Iterator[Metric]:
    up = _gauge("backend_up", "1: an engine reached it not long ago, and it can be worked with.", "backend")
    enabled = _gauge("backend_enabled", "1: it takes new servers; 0: it is drained.", "backend")
    number = _gauge("backend_servers", "Its servers.", "backend")
    free = _gauge("backend_memory_free_bytes", "Memory for more servers, where the backend says.", "backend")
    has = servers.numbers(tx)
    for host in placement.hosts(tx, settings):
        up.add_metric([host.name], host.state(moment) == "up")
        enabled.add_metric([host.name], host.found is None or host.found.enabled)
        number.add_metric([host.name], has.get(host.name, 0))
        if host.found is not None and host.found.memory_free is not None:
            free.add_metric([host.name], host.found.memory_free << 20)
    yield from (up, enabled, number, free)


def _pools(tx: Tx, settings: Settings, moment: int) -> Iterator[Metric]:
    up = _gauge("pool_up", "1: an engine looked at it not long ago.", "pool")
    enabled = _gauge("pool_enabled", "1: it takes new volumes.", "pool")
    total = _gauge("pool_total_bytes", "Its size.", "pool")
    free = _gauge("pool_free_bytes", "What is free of it.", "pool")
    promised = _gauge("pool_promised_bytes", "The sizes of all its disks, as guests see them.", "pool")
    rows = {row.name: row for row in pools.every(tx, settings.storage.pools)}
    for name in settings.storage.pools:
        row = rows.get(name)
        up.add_metric([name], row is not None and is_up(row.seen_at, moment))
        if row is not None:
            enabled.add_metric([name], row.enabled)
            total.add_metric([name], row.total)
            free.add_metric([name], row.free)
            promised.add_metric([name], row.promised)
    yield from (up, enabled, total, free, promised)


def _quotas(tx: Tx, settings: Settings) -> Iterator[Metric]:
    used = _gauge("quota_used", "What all projects use together; ram is MiB, gigabytes are GiB.", "resource")
    nearly = _gauge("quota_projects_nearly_full", "Projects that use 80 % of their limit or more.", "resource")
    for one in quotas.fullness(tx, settings.quotas, tuple(RESOURCES), nearly=NEARLY):
        used.add_metric([one.resource], int(one.used))
        nearly.add_metric([one.resource], int(one.nearly))
    yield from (used, nearly)


def _reconciliation(tx: Tx, moment: int) -> Iterator[Metric]:
    differing = _gauge("differences", "What the last look found that is not as it should be.", "kind")
    for kind, count in sorted(Counter(row.kind for row in differences.every(tx)).items()):
        differing.add_metric([kind], count)
    age = _gauge("reconciliation_age_seconds", "Since the last look ended.")
    unseen = _gauge("reconciliation_unseen", "Places that did not answer it.")
    if (last := differences.last_look(tx)) is not None:
        age.add_metric([], (moment - last.ended_at) / 1e6)
        unseen.add_metric([], len(last.unseen))
    yield from (differing, age, unseen)
