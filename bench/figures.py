"""What was measured, beside what is to be reached; and how such things are counted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Figure:
    """One line of the table."""

    name: str
    measured: str
    goal: str = ""


@dataclass
class Report:
    """`notes` say what a reader of the figures must know."""

    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, name: str, measured: str, goal: str = "") -> None:
        self.figures.append(Figure(name, measured, goal))

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


def percentile(values: Sequence[float], percent: float) -> float:
    """The least of `values` that at least `percent` per cent of them do not exceed (the nearest rank)."""
    if not values:
        raise ValueError("no values")
    return sorted(values)[max(math.ceil(len(values) * percent / 100), 1) - 1]


def p50(values: Sequence[float]) -> float:
    return percentile(values, 50)


def ms(seconds: float) -> str:
    digits = 2 if abs(seconds) < 0.001 else 1 if abs(seconds) < 0.1 else 0
    return f"{seconds * 1000:,.{digits}f} ms"


def spread(seconds: Sequence[float]) -> str:
    """p50 and p95, of how many."""
    return f"p50 {ms(p50(seconds))} · p95 {ms(percentile(seconds, 95))} · {len(seconds)} times"
