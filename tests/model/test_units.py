from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cyclades.model.units import GIB, gib_to_hold


@given(st.integers(0, 1 << 62))
def test_the_least_number_of_gib_holds_all_bytes(size: int) -> None:
    gib = gib_to_hold(size)
    assert gib * GIB >= size > (gib - 1) * GIB


def test_the_edges() -> None:
    assert [gib_to_hold(size) for size in (0, 1, GIB, GIB + 1)] == [0, 1, 1, 2]
