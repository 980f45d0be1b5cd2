"""What a volume of a type can do: the one place that answers, and how it refuses."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyclades.model import capabilities
from cyclades.model.capabilities import Capabilities, Kind, Storage, kind_of
from cyclades.model.errors import Invalid

POOLS = Storage(
    {"fast": "qcow2", "slow": "qcow2"}, {"archipelago": Capabilities(multiattach=False, detachable=True, filled=False)}
)


def rule(specs: dict[str, str]) -> str:
    with pytest.raises(Invalid) as refused:
        kind_of(specs, POOLS)
    assert refused.value.field == "extra_specs"
    return refused.value.rule


def test_a_type_that_says_nothing_is_of_the_first_pool() -> None:
    assert kind_of({}, POOLS) == Kind("ext", "cyclades", "fast")
    assert kind_of({"colour": "red"}, POOLS) == kind_of({}, POOLS)


def test_a_type_names_its_pool_in_our_words_or_in_cinders() -> None:
    for spec in ("cyclades:pool", "volume_backend_name", "capabilities:volume_backend_name"):
        assert kind_of({spec: "slow"}, POOLS).pool == "slow"
    assert kind_of({"cyclades:pool": "slow", "volume_backend_name": "fast"}, POOLS).pool == "slow"


@pytest.mark.parametrize("scope", ["", "capabilities:"])
def test_what_a_pool_is_not(scope: str) -> None:
    kind = kind_of({}, POOLS)
    for specs in ({}, {"vendor_name": "Cyclades"}, {"storage_protocol": "qcow2"}, {"colour": "red"}):
        assert capabilities.unmet({scope + name: value for name, value in specs.items()}, kind, POOLS) is None
    for name in ("vendor_name", "storage_protocol"):
        assert f"{name} 'other'" in (capabilities.unmet({scope + name: "other"}, kind, POOLS) or "")


@pytest.mark.parametrize(
    ("specs", "name"),
    [
        ({"cyclades:disk_template": "tape"}, "disk-template"),
        ({"cyclades:disk_template": ""}, "disk-template"),
        ({"cyclades:disk_template": "drbd", "cyclades:provider": "cyclades"}, "disk-template-provider"),
        ({"cyclades:provider": "unheard-of"}, "disk-template-provider"),
        ({"cyclades:disk_template": "drbd", "cyclades:pool": "fast"}, "pool"),
        ({"cyclades:disk_template": "rbd", "multiattach": "<is> True"}, "capability-multiattach"),
        ({"cyclades:pool": "nowhere"}, "pool"),
        ({"volume_backend_name": "nowhere"}, "pool"),
        ({"multiattach": "<is> True"}, "capability-multiattach"),
        ({"multiattach": "<IS>  true"}, "capability-multiattach"),
    ],
)
def test_a_refusal_names_its_rule(specs: dict[str, str], name: str) -> None:
    assert rule(specs) == name


@pytest.mark.parametrize("value", ["", "<is> False", "True", "yes"])
def test_only_cinders_own_word_asks_for_multiattach(value: str) -> None:
    assert kind_of({"multiattach": value}, POOLS).pool == "fast"


@given(st.sampled_from(sorted(capabilities.TEMPLATES)), st.text(max_size=5), st.text(max_size=5))
def test_every_type_has_a_kind_or_a_refusal(template: str, provider: str, pool: str) -> None:
    specs = {"cyclades:disk_template": template, "cyclades:provider": provider, "cyclades:pool": pool}
    with suppress(Invalid):
        kind = kind_of(specs, POOLS)
        assert kind.disk_template == template
        assert (kind.pool in POOLS.pools) == (capabilities.template_of(kind.pool) is None)
        assert capabilities.of_pool(kind.pool, POOLS)


def test_a_type_of_disks_that_ganeti_makes() -> None:
    assert kind_of({"cyclades:disk_template": "drbd"}, POOLS) == Kind("drbd", "", "ganeti:drbd")
    theirs = kind_of({"cyclades:provider": "archipelago"}, POOLS)
    assert theirs == Kind("ext", "archipelago", "ganeti:ext/archipelago")
    assert capabilities.engine_of(theirs.pool, POOLS) == "ext/archipelago"
    found = capabilities.standing_for(["plain", "ext", "diskless"], ["archipelago"])
    assert found == {"ganeti:plain", "ganeti:ext/archipelago", "ganeti:ext/archipelago/bound"}
    found = capabilities.standing_for(["ext"], ["archipelago"], attaches_ext=False)
    assert found == {"ganeti:ext/archipelago/bound"}


def test_a_provider_that_declares_nothing_keeps_a_disk_on_its_server() -> None:
    before = Storage({}, {"theirs": Capabilities(multiattach=False, detachable=False, filled=False)})
    since = Storage({}, {"theirs": Capabilities(multiattach=False, detachable=True, filled=True)})
    bound, free = kind_of({"cyclades:provider": "theirs"}, before), kind_of({"cyclades:provider": "theirs"}, since)
    assert (bound.pool, free.pool) == ("ganeti:ext/theirs/bound", "ganeti:ext/theirs")
    assert capabilities.provider_of(capabilities.engine_of(bound.pool, before)) == "theirs"
    for storage in (before, since):  # a volume stays as it was made
        assert not capabilities.of_pool(bound.pool, storage).detachable
        assert capabilities.lives_on_server(bound.pool)
        assert not capabilities.kept_by_cluster("ext/theirs/bound")
        with pytest.raises(Invalid, match="The ExtStorage provider theirs keeps a volume only on a server") as refused:
            capabilities.require_detachable(bound, storage)
        assert refused.value.rule == "server-required"
    with pytest.raises(Invalid, match="The ExtStorage provider theirs fills no disks"):
        capabilities.require_fill(bound, before, source="image", is_root=True)
    capabilities.require_fill(free, since, source="image", is_root=True)
    assert not capabilities.lives_on_server(free.pool)
    assert capabilities.kept_by_cluster("ext/theirs")
    capabilities.require_detachable(free, since)


def test_a_cloud_without_a_pool_has_types_of_ganetis_disks_alone() -> None:
    assert kind_of({"cyclades:disk_template": "plain"}, Storage({})).pool == "ganeti:plain"
    with pytest.raises(Invalid, match="no pool"):
        kind_of({}, Storage({}))


def test_every_engine_and_template_says_what_its_volumes_can() -> None:
    bound = {"plain", "drbd", "file"}
    for template in capabilities.TEMPLATES:
        kind = kind_of({"cyclades:disk_template": template}, POOLS)
        assert capabilities.of_pool(kind.pool, POOLS).detachable == (template not in bound)
        assert capabilities.lives_on_server(kind.pool) == (template in bound)
        if template in bound:
            with pytest.raises(Invalid, match="server"):
                capabilities.require_detachable(kind, POOLS)
            with pytest.raises(Invalid, match="ends with it"):
                capabilities.require_end_with_server(kind.pool, ends=False)
        else:
            capabilities.require_detachable(kind, POOLS)
            capabilities.require_end_with_server(kind.pool, ends=False)
        capabilities.require_end_with_server(kind.pool, ends=True)


def test_what_only_pools_offer() -> None:
    capabilities.require_pool("fast", "snapshots")
    with pytest.raises(Invalid, match="template drbd does not offer snapshots") as refused:
        capabilities.require_pool("ganeti:drbd", "snapshots")
    assert refused.value.rule == "capability-snapshots"


@pytest.mark.parametrize("source", ["image", "snapshot", "volume"])
def test_ganeti_fills_the_root_alone_and_from_an_image(source: str) -> None:
    pooled, drbd = kind_of({}, POOLS), kind_of({"cyclades:disk_template": "drbd"}, POOLS)
    theirs = kind_of({"cyclades:provider": "archipelago"}, POOLS)
    for is_root in (False, True):
        capabilities.require_fill(pooled, POOLS, source=source, is_root=is_root)
        for kind in (drbd, theirs):
            capabilities.require_fill(kind, POOLS, source="blank", is_root=is_root)
            if kind is drbd and (source, is_root) == ("image", True):
                capabilities.require_fill(kind, POOLS, source=source, is_root=is_root)
                continue
            with pytest.raises(Invalid) as refused:
                capabilities.require_fill(kind, POOLS, source=source, is_root=is_root)
            assert refused.value.rule == "template-root-only"


@pytest.mark.parametrize(("zones", "zone"), [("", "a"), ("a", "a"), ("a, b", "b"), (" , ", "anything")])
def test_a_type_for_some_zones(zones: str, zone: str) -> None:
    capabilities.check_zone({"RESKEY:availability_zones": zones}, zone)
    if zones.strip(" ,"):
        with pytest.raises(Invalid, match="zone"):
            capabilities.check_zone({"RESKEY:availability_zones": zones}, "elsewhere")
