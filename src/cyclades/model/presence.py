"""When a process or a pool counts as up: it was seen not long ago."""

from __future__ import annotations

SAID_EVERY = 20.0  # seconds
DOWN_AFTER = 60.0  # seconds without a word


def is_up(seen_at: int, moment: int) -> bool:
    """Both are µs since 1970."""
    return moment - seen_at <= DOWN_AFTER * 1_000_000
