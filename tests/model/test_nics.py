"""The addresses of servers: from one number, and nobody else's."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyclades.model import nics
from cyclades.model.nics import MOST, addresses

NUMBERS = st.integers(1, MOST - 1)


@given(NUMBERS, NUMBERS, st.text(max_size=20))
def test_no_two_numbers_share_anything(one: int, other: int, cloud: str) -> None:
    if one == other:
        assert addresses(one, cloud) == addresses(other, cloud)
        return
    first, second = addresses(one, cloud), addresses(other, cloud)
    assert first.mac != second.mac
    assert first.forward != second.forward
    assert not _subnet(first.address).overlaps(_subnet(second.address))


@given(st.one_of(NUMBERS, st.sampled_from([1, MOST - 1])), st.text(max_size=20))
def test_they_are_where_they_belong(number: int, cloud: str) -> None:
    found = addresses(number, cloud)
    subnet = _subnet(found.address)
    assert subnet.subnet_of(nics.NETWORK_CIDR)
    assert IPv4Address(found.address) in list(subnet.hosts())[2:]  # the first are the gateway's and the resolver's
    assert IPv4Address(found.forward).is_loopback
    assert IPv4Address(found.forward) in IPv4Network("127.64.0.0/10")
    assert IPv4Address(found.forward) not in (IPv4Address("127.64.0.0"), IPv4Address("127.127.255.255"))
    first_byte = int(found.mac.split(":")[0], 16)
    assert len(found.mac.split(":")) == 6
    assert first_byte & 3 == 2  # a unicast address that nobody was assigned


def _subnet(address: str) -> IPv4Network:
    return IPv4Interface(f"{address}/29").network


def test_the_first_and_the_last() -> None:
    assert addresses(1, "a")[:2] == ("52:54:00:00:00:01", "10.64.0.12")
    assert addresses(MOST - 1, "a")[:2] == ("52:54:00:07:ff:ff", "10.127.255.252")
    for none in (0, -1, MOST, MOST + 1):
        with pytest.raises(ValueError, match="no network number"):
            addresses(none, "a")


def test_two_clouds_of_one_machine_begin_elsewhere() -> None:
    forwards = {cloud: {addresses(number, cloud).forward for number in range(1, 1000)} for cloud in ("a", "b", "c")}
    assert not forwards["a"] & forwards["b"]
    assert not forwards["b"] & forwards["c"]
