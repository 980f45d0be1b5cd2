"""What a volume of a type can do: the one place that answers, and how it refuses."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyclades.model import capabilities
from cyclades.model.capabilities import Kind, kind_of
from cyclades.model.errors import Invalid

POOLS = {"fast": "qcow2", "slow": "qcow2"}


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
        ({"cyclades:disk_template": "drbd"}, "disk-template-backend"),
        ({"cyclades:provider": "archipelago"}, "disk-template-backend"),
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
        assert (kind.disk_template, kind.provider) == ("ext", "cyclades")
        assert kind.pool in POOLS


def test_every_engine_says_what_its_volumes_can() -> None:
    for engine in set(POOLS.values()):
        found = capabilities.of_pool("one", {"one": engine})
        assert found.detachable
        capabilities.require_detachable(Kind("ext", "cyclades", "one"), {"one": engine})


@pytest.mark.parametrize(("zones", "zone"), [("", "a"), ("a", "a"), ("a, b", "b"), (" , ", "anything")])
def test_a_type_for_some_zones(zones: str, zone: str) -> None:
    capabilities.check_zone({"RESKEY:availability_zones": zones}, zone)
    if zones.strip(" ,"):
        with pytest.raises(Invalid, match="zone"):
            capabilities.check_zone({"RESKEY:availability_zones": zones}, "elsewhere")
