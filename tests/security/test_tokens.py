from __future__ import annotations

import base64
import hmac
import json
import time
from pathlib import Path
from typing import Any

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


def _part(value: bytes | dict[str, Any]) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


async def test_no_other_key_of_ours_signs_tokens(tokens: Tokens) -> None:
    _, payload, _ = tokens.issue(USER, seen=0)[0].split(".")
    key = tokens.keys.current("secrets")
    signed = f"{_part({'alg': 'HS256', 'kid': key.id})}.{payload}"
    signature = hmac.digest(key.secret, signed.encode(), "sha256")
    with pytest.raises(Unauthorized) as refused:
        tokens.check(f"{signed}.{_part(signature)}")
    assert refused.value.rule == "token-unknown-key"


@pytest.mark.parametrize(
    "head",
    [
        b"", b"null", b"1", b'"x"', b"[1]", b"\xff\xfe", b"[" * 1500,
        b'{"a":' * 300, b'{"alg":"HS256","kid":"\\ud800"}',
        b'{"alg":"HS256","kid":' + b"9" * 1400 + b"}", {"kid": "KID"}, {"alg": None, "kid": "KID"},
        {"alg": "none", "kid": "KID"}, {"alg": ["HS256"], "kid": "KID"}, {"alg": {"a": 1}, "kid": "KID"},
        {"alg": "RS256", "kid": "KID"}, {"alg": "HS256", "kid": "KID", "b64": False},
        {"alg": "HS256", "kid": "KID", "crit": ["b64"], "b64": False}, {"alg": "HS256", "kid": "KID", "crit": 5},
        {"alg": "HS256", "kid": "KID\0"}, {"alg": "HS256", "kid": "x" * 1000}, {"alg": "HS256", "kid": "../KID"},
        {"alg": "HS256", "kid": "KID", "typ": 5},
    ],
)  # fmt: skip
async def test_a_header_of_somebodys_own_making(tokens: Tokens, head: bytes | dict[str, Any]) -> None:
    token, _ = tokens.issue(USER, seen=0)
    _, payload, signature = token.split(".")
    if isinstance(head, dict):
        key_id = tokens.keys.current("tokens").id
        head = {name: value.replace("KID", key_id) if isinstance(value, str) else value for name, value in head.items()}
    for rest in (f".{payload}.{signature}", "..", ".", "", f".{payload}."):
        with pytest.raises(Unauthorized) as refused:
            tokens.check(_part(head) + rest)
        assert refused.value.message == "The request you have made requires authentication."
    assert tokens.check(token).user_id == USER


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
