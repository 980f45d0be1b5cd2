"""Logins by password, and how many may fail.

What is counted is failures, each kind in a bucket that holds a minute's worth and drains steadily:

- of a user, from wherever: many addresses together cannot try faster than that;
- of an address, for whichever user;
- of a user at an address where that user has logged in before: such a pair has a bucket of its own, and
  the other two do not count for it.

So whoever guesses at a user's password from elsewhere, even from very many addresses, cannot keep that user
out of the places where they work. From a new address the user may have to try again, since a bucket that
drains lets somebody in now and then. The counts are each process's own.
"""

from __future__ import annotations

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from cyclades.config import Identity
from cyclades.model.errors import TooMany
from cyclades.security.passwords import Passwords

_MOST_BUCKETS = 20_000
_MOST_PAIRS = 20_000


class Logins:
    """Checks who logs in, with the limits of one process."""

    def __init__(self, settings: Identity) -> None:
        self.passwords = Passwords(settings)
        self._limits = Limits(settings.logins_per_minute)

    async def check(self, user: str, address: str, stored: str | None, password: str) -> bool:
        """Whether `password` is the one of the hash `stored`; `user` is an id, or anything that names the unknown
        user. `TooMany` when too many logins failed."""
        attempt = self._limits.begin(user, address)
        if not await self.passwords.verify(stored, password):
            return False
        self._limits.succeeded(attempt)
        return True

    def close(self) -> None:
        self.passwords.close()


@dataclass(frozen=True)
class Attempt:
    """A login that counts as failed until it has succeeded."""

    pair: tuple[str, str]
    buckets: tuple[Hashable, ...]


class Limits:
    """Counts failed logins. `clock` gives seconds."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = max(1, per_minute)
        self._clock = clock
        self._buckets: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()  # level, when
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()

    def begin(self, user: str, address: str) -> Attempt:
        """Count a login, or refuse it."""
        pair = (user, _network(address))
        names: tuple[Hashable, ...] = (pair,) if pair in self._known else (("user", user), ("address", pair[1]))
        levels = [self._level(name) for name in names]
        if (over := max(levels) + 1 - self._most) > 0:
            seconds = math.ceil(over * 60 / self._most)
            raise TooMany("logins", "Too many failed logins; wait a little before the next.", seconds=seconds)
        for name, level in zip(names, levels, strict=True):
            self._set(name, level + 1)
        return Attempt(pair, names)

    def succeeded(self, attempt: Attempt) -> None:
        for name in attempt.buckets:
            self._set(name, max(0.0, self._level(name) - 1))
        self._known[attempt.pair] = None
        self._known.move_to_end(attempt.pair)
        if len(self._known) > _MOST_PAIRS:
            self._known.popitem(last=False)

    def _level(self, name: Hashable) -> float:
        level, then = self._buckets.get(name, (0.0, 0.0))
        return max(0.0, level - (self._clock() - then) * self._most / 60)

    def _set(self, name: Hashable, level: float) -> None:
        self._buckets[name] = (level, self._clock())
        self._buckets.move_to_end(name)
        if len(self._buckets) > _MOST_BUCKETS:
            self._buckets.popitem(last=False)


def _network(address: str) -> str:
    """Who has one IPv6 address has the 2**64 around it, too."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.version == 4:
        return str(parsed)
    return str(ipaddress.IPv6Network((int(parsed) >> 64 << 64, 64)))
