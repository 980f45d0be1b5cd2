"""What counts against which quota."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cyclades.config import Quotas
from cyclades.model import quota
from cyclades.model.units import GIB

SIZE = st.integers(1, 1 << 20)
TYPE = st.uuids().map(str)


@given(SIZE, SIZE, TYPE, st.booleans())
def test_a_volume_that_grew_counts_as_one_made_larger(size: int, more: int, type_id: str, consumes: bool) -> None:
    small = quota.of_volume(size, type_id=type_id, consumes=consumes)
    growth = quota.of_growth(more, type_id=type_id, consumes=consumes)
    grown = {name: amount + growth.get(name, 0) for name, amount in small.items()}
    assert grown == quota.of_volume(size + more, type_id=type_id, consumes=consumes)


@given(SIZE, TYPE)
def test_a_root_from_an_image_counts_in_bytes_alone(size: int, type_id: str) -> None:
    assert quota.of_volume(size, type_id=type_id, consumes=False) == {quota.DISK: size * GIB}
    assert quota.of_growth(size, type_id=type_id, consumes=False) == {quota.DISK: size * GIB}


@given(SIZE, TYPE)
def test_volumes_and_snapshots_share_their_gigabytes(size: int, type_id: str) -> None:
    volume, snapshot = quota.of_volume(size, type_id=type_id), quota.of_snapshot(size, type_id=type_id)
    shared = quota.per_type(quota.GIGABYTES, type_id)
    assert volume[quota.GIGABYTES] == snapshot[quota.GIGABYTES] == volume[shared] == snapshot[shared] == size
    assert (volume[quota.VOLUMES], snapshot[quota.SNAPSHOTS]) == (1, 1)
    assert quota.DISK not in snapshot  # it takes no more of it than its volume changes


@given(SIZE, TYPE)
def test_a_types_share_is_found_by_its_id(size: int, type_id: str) -> None:
    for amounts in (quota.of_volume(size, type_id=type_id), quota.of_snapshot(size, type_id=type_id)):
        share = quota.type_share(amounts)
        assert {quota.type_of(name) for name in share} == {type_id}
        assert len(share) == 2
    for name in quota.RESOURCES:
        assert quota.type_of(name) is None


@given(st.integers(1, 64), st.integers(1, 1 << 20), st.integers(0, 1 << 40))
def test_servers_and_images(vcpus: int, ram: int, size: int) -> None:
    assert quota.of_server(vcpus, ram) == {quota.SERVERS: 1, quota.CORES: vcpus, quota.RAM: ram}
    assert quota.of_image(size) == {quota.IMAGE_BYTES: size}


def test_every_resource_has_a_default_limit() -> None:
    defaults = Quotas()
    for setting in quota.RESOURCES.values():
        assert getattr(defaults, setting) >= -1
    volume, snapshot = quota.of_volume(1, type_id="t"), quota.of_snapshot(1, type_id="t")
    counted = {*volume, *snapshot, *quota.of_server(1, 1), *quota.of_image(1)}
    assert {name for name in counted if quota.type_of(name) is None} <= set(quota.RESOURCES)
