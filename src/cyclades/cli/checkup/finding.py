"""What a look has found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum

from sqlalchemy.exc import DBAPIError

from cyclades.cli.refused import Refused


class Severity(IntEnum):
    """Its number is the exit code of a command that finds nothing worse."""

    OK = 0
    WARNING = 1  # it works, and somebody should look after it
    ERROR = 2  # something does not work


@dataclass(frozen=True)
class Finding:
    """`advice` is what to do next: a command, as a rule."""

    severity: Severity
    about: str
    text: str
    advice: str | None = None


Findings = Iterator[Finding]


def ok(about: str, text: str, advice: str | None = None) -> Finding:
    return Finding(Severity.OK, about, text, advice)


def warning(about: str, text: str, advice: str | None = None) -> Finding:
    return Finding(Severity.WARNING, about, text, advice)


def error(about: str, text: str, advice: str | None = None) -> Finding:
    return Finding(Severity.ERROR, about, text, advice)


def looked(about: str, look: Callable[[], Findings]) -> Findings:
    """All that a look finds; that it cannot look is a finding, too."""
    try:
        yield from look()
    except (Refused, OSError) as problem:
        yield error(about, str(problem))
    except DBAPIError as problem:
        yield error(about, f"It cannot be read: {problem.orig}")


def lasted(seconds: float) -> str:
    """A time as people say it."""
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} seconds"


def size(number: int) -> str:
    """Bytes as people say them."""
    return f"{number / (1 << 30):,.1f} GiB"
