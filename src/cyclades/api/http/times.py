"""Times on the wire."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1)
_EPOCH_UTC = datetime(1970, 1, 1, tzinfo=UTC)


def micros(moment: int | None) -> str | None:
    """µs since 1970 as Cinder writes it: `YYYY-MM-DDTHH:MM:SS.ffffff`, without a zone."""
    return None if moment is None else (_EPOCH + timedelta(microseconds=moment)).isoformat(timespec="microseconds")


def seconds(moment: int | None) -> str | None:
    """µs since 1970 as Nova and Glance write it: `YYYY-MM-DDTHH:MM:SSZ`."""
    if moment is None:
        return None
    return (_EPOCH + timedelta(microseconds=moment)).isoformat(timespec="seconds") + "Z"


def parse(text: str) -> int:
    """An ISO 8601 time (UTC unless it says otherwise) as µs since 1970. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round((moment - _EPOCH_UTC) / timedelta(microseconds=1))
