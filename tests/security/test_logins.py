from __future__ import annotations

import pytest

from cyclades.model.errors import TooMany
from cyclades.security import logins
from cyclades.security.logins import Limits

HOME, OFFICE = "192.0.2.1", "192.0.2.2"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limits(clock: Clock) -> Limits:
    return Limits(6, clock)


def _succeed(limits: Limits, user: str, address: str) -> None:
    limits.succeeded(limits.begin(user, address))


def _fail_all(limits: Limits, user: str, address: str) -> int:
    """Fails until refused; the seconds to wait."""
    for _ in range(1000):
        try:
            limits.begin(user, address)
        except TooMany as refusal:
            return refusal.seconds
    raise AssertionError("never refused")


def test_logins_that_succeed_do_not_count(limits: Limits) -> None:
    for _ in range(100):
        _succeed(limits, "ada", HOME)


def test_failures_of_an_address_count_over_all_users(limits: Limits) -> None:
    for number in range(6):
        limits.begin(f"user {number}", HOME)
    with pytest.raises(TooMany):
        limits.begin("another", HOME)
    limits.begin("another", OFFICE)


def test_failures_of_a_user_count_over_all_addresses(limits: Limits) -> None:
    for number in range(6):
        limits.begin("ada", f"198.51.100.{number}")
    with pytest.raises(TooMany):
        limits.begin("ada", "198.51.100.99")
    limits.begin("bob", "198.51.100.99")


def test_one_ipv6_network_is_one_address(limits: Limits) -> None:
    for number in range(6):
        limits.begin(f"user {number}", f"2001:db8::{number}")
    with pytest.raises(TooMany):
        limits.begin("another", "2001:db8::ffff:1")
    limits.begin("another", "2001:db8:0:1::1")


def test_waiting_helps(limits: Limits, clock: Clock) -> None:
    seconds = _fail_all(limits, "ada", HOME)
    assert 0 < seconds <= 10
    clock.now += seconds
    limits.begin("ada", HOME)
    with pytest.raises(TooMany):
        limits.begin("ada", HOME)


def test_nobody_is_locked_out_of_where_they_log_in(limits: Limits) -> None:
    _succeed(limits, "ada", OFFICE)
    for number in range(50):
        _fail_all(limits, "ada", f"198.51.100.{number}")
    _fail_all(limits, "mallory", OFFICE)
    _succeed(limits, "ada", OFFICE)
    _fail_all(limits, "ada", OFFICE)  # but there, too, guesses are limited


def test_counts_are_bounded(limits: Limits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logins, "_MOST_BUCKETS", 10)
    monkeypatch.setattr(logins, "_MOST_PAIRS", 10)
    for number in range(100):
        _succeed(limits, f"user {number}", f"198.51.100.{number}")
    assert len(limits._buckets) <= 10
    assert len(limits._known) <= 10
