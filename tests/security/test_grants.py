"""Grants for machines that fetch one image."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyclades.model.errors import Unauthorized
from cyclades.security import grants
from cyclades.security.keys import Keys

IMAGE, SERVER = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys(tmp_path_factory.mktemp("keys"))


def test_it_says_for_what_it_is(keys: Keys) -> None:
    text = grants.issue(keys, IMAGE, SERVER)
    found = grants.check(keys, text)
    assert (found.image_id, found.server_id) == (IMAGE, SERVER)
    assert IMAGE not in text
    assert text.replace("-", "").replace("_", "").rstrip("=").isalnum()


def test_it_runs_out(keys: Keys) -> None:
    with pytest.raises(Unauthorized, match="run out"):
        grants.check(keys, grants.issue(keys, IMAGE, SERVER, seconds=-1))


def test_nobody_else_makes_one(keys: Keys, tmp_path: Path) -> None:
    for text in (grants.issue(Keys(tmp_path), IMAGE, SERVER), grants.issue(keys, IMAGE, SERVER)[:-8] + "AAAAAAA="):
        with pytest.raises(Unauthorized, match="no grant"):
            grants.check(keys, text)


@given(st.text(max_size=40))
def test_whatever_is_shown(keys: Keys, text: str) -> None:
    with pytest.raises(Unauthorized):
        grants.check(keys, text)
