"""Rules of servers that need no state."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cyclades.model.errors import Forbidden
from cyclades.model.servers import MAX_DISKS, device_of, free_index, hostname_of

LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")  # RFC 1123
ID = "0f5d1e4c-8f0e-4d8a-9c7a-3d2b1c0a9f8e"


@given(st.text())
@example("x" * 62 + "-y")
@example("a..b")
@example("İstanbul")
@example("-.-")
def test_any_name_makes_a_hostname(name: str) -> None:
    assert LABEL.fullmatch(hostname_of(name, ID))


@given(st.from_regex(LABEL, fullmatch=True))
def test_a_hostname_stays_what_it_is(name: str) -> None:
    assert hostname_of(name, ID) == name


@pytest.mark.parametrize(
    ("name", "hostname"),
    [
        ("My Server_1!", "my-server-1"),
        ("guest-1.example.com", "guest-1-example-com"),
        ("ubuntu 18.04", "ubuntu-18-04"),
        ("grüße", "gre"),
        ("☃", f"server-{ID}"),
        ("", f"server-{ID}"),
    ],
)
def test_examples(name: str, hostname: str) -> None:
    assert hostname_of(name, ID) == hostname


@given(st.sets(st.integers(0, MAX_DISKS - 1), max_size=MAX_DISKS))
def test_the_least_free_index_is_taken(taken: set[int]) -> None:
    free = set(range(1, MAX_DISKS)) - taken
    if not free or len(taken) >= MAX_DISKS:
        with pytest.raises(Forbidden, match=str(MAX_DISKS)):
            free_index(taken)
    else:
        assert free_index(taken) == min(free)


def test_a_server_is_filled_up_and_no_further() -> None:
    taken = {0}
    for _ in range(MAX_DISKS - 1):
        taken.add(free_index(taken))
    assert taken == set(range(MAX_DISKS))
    with pytest.raises(Forbidden):
        free_index(taken)


def test_each_index_has_a_device() -> None:
    assert [device_of(index) for index in (0, 1, MAX_DISKS - 1)] == ["/dev/sda", "/dev/sdb", "/dev/sdp"]
