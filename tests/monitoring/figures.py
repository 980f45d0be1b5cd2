"""Reading what is served for Prometheus."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(text: str) -> Samples:
    found = {}
    for family in text_string_to_metric_families(text):
        for one in family.samples:
            found[one.name, frozenset(one.labels.items())] = one.value
    return found


def value(found: Samples, name: str, **labels: str) -> float | None:
    return found.get((f"cyclades_{name}", frozenset(labels.items())))
