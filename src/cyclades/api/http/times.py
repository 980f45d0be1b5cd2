"""Times on the wire."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

_EPOCH = datetime(1970, 1, 1)
_EPOCH_UTC = datetime(1970, 1, 1, tzinfo=UTC)


def micros(moment: int | None) -> str | None:
    """µs since 1970 as Cinder writes it: `YYYY-MM-DDTHH:MM:SS.ffffff`, without a zone."""
    if moment is None:
        return None
    whole, part = divmod(moment, 1_000_000)
    return f"{_text(whole)}.{part:06d}"


def seconds(moment: int | None) -> str | None:
    """µs since 1970 as Nova and Glance write it: `YYYY-MM-DDTHH:MM:SSZ`."""
    return None if moment is None else _text(moment // 1_000_000) + "Z"


@lru_cache(maxsize=8192)  # lists are asked for again and again
def _text(whole: int) -> str:
    return (_EPOCH + timedelta(seconds=whole)).isoformat()


def parse(text: str) -> int:
    """An ISO 8601 time (UTC unless it says otherwise) as µs since 1970. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round((moment - _EPOCH_UTC) / timedelta(microseconds=1))
