from __future__ import annotations

import time
from pathlib import Path

import pytest

from cyclades.model.errors import Unauthorized
from cyclades.security import keys as keys_module
from cyclades.security import tokens as tokens_module
from cyclades.security.keys import Keys, rotate
from cyclades.security.revocations import Revocations
from cyclades.security.tokens import Tokens
from cyclades.store.database import Database
from cyclades.store.revocations import LONGEST_TOKEN

USER, PROJECT = "a" * 32, "b" * 32


@pytest.fixture
async def tokens(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tokens:
    monkeypatch.setattr(keys_module, "_LOOK_AGAIN", 0.0)
    revocations = Revocations(database)
    await revocations.refresh()
    return Tokens(Keys(tmp_path / "keys"), revocations, seconds=3600)


async def test_a_token_says_what_it_was_issued_for(tokens: Tokens) -> None:
    token, claims = tokens.issue(
        USER,
        seen=7,
        project_id=PROJECT,
        roles=frozenset({"admin", "member", "reader", "made up by an operator"}),
        methods=("password", "token"),
    )
    assert tokens.check(token) == claims
    assert claims.roles == {"admin", "member", "reader"}
    assert claims.expires_at - claims.issued_at == 3600 * 1_000_000
    assert (claims.user_id, claims.project_id, claims.target_id, claims.seen) == (USER, PROJECT, PROJECT, 7)
    assert len(token) < 600


async def test_each_token_is_another(tokens: Tokens) -> None:
    assert tokens.issue(USER, seen=0)[0] != tokens.issue(USER, seen=0)[0]


async def test_expiry_holds_for_remembered_tokens_too(tokens: Tokens, monkeypatch: pytest.MonkeyPatch) -> None:
    token, claims = tokens.issue(USER, seen=0)
    tokens.check(token)
    monkeypatch.setattr(time, "time_ns", lambda: claims.expires_at * 1000)
    with pytest.raises(Unauthorized):
        tokens.check(token)


async def test_rotation_logs_nobody_out(tokens: Tokens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens_module, "_REMEMBERED", -1.0)
    before, _ = tokens.issue(USER, seen=0)
    rotate(tmp_path / "keys", token_seconds=3600, delay=0)
    after, _ = tokens.issue(USER, seen=0)
    assert before.split(".")[0] != after.split(".")[0]
    assert tokens.check(before).user_id == tokens.check(after).user_id == USER


async def test_a_removed_key_ends_its_tokens(tokens: Tokens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens_module, "_REMEMBERED", -1.0)
    token, _ = tokens.issue(USER, seen=0)
    rotate(tmp_path / "keys", token_seconds=3600, delay=0)
    used = tokens.keys.current("tokens").id
    for file in (tmp_path / "keys").glob("tokens-*"):
        if used not in file.name:
            file.unlink()
    with pytest.raises(Unauthorized):
        tokens.check(token)


async def test_another_clouds_tokens_are_refused(tokens: Tokens, tmp_path: Path) -> None:
    others = Tokens(Keys(tmp_path / "others"), tokens.revocations, seconds=60)
    with pytest.raises(Unauthorized):
        tokens.check(others.issue(USER, seen=0)[0])


async def test_what_is_remembered_is_bounded(tokens: Tokens, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens_module, "_MOST_REMEMBERED", 3)
    made = [tokens.issue(USER, seen=0)[0] for _ in range(10)]
    for token in made + made:
        tokens.check(token)
        assert len(tokens._remembered) <= 3


@pytest.mark.parametrize("seconds", [0, -1, LONGEST_TOKEN + 1])
async def test_no_token_outlives_revocations(tokens: Tokens, seconds: int) -> None:
    with pytest.raises(ValueError, match="token_seconds"):
        Tokens(tokens.keys, tokens.revocations, seconds=seconds)
