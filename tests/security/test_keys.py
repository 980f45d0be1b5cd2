from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from cyclades.security import keys as keys_module
from cyclades.security.keys import KeyFileError, Keys, Unsealable, rotate


@pytest.fixture(autouse=True)
def _looks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that tests need not wait until a running process looks at the directory again."""
    monkeypatch.setattr(keys_module, "_LOOK_AGAIN", 0.0)


def test_first_keys_are_private_files(tmp_path: Path) -> None:
    directory = tmp_path / "keys"
    Keys(directory)
    files = sorted(directory.iterdir())
    assert [file.name.split("-")[0] for file in files] == ["secrets", "tokens"]
    assert directory.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


def test_keys_are_kept(tmp_path: Path) -> None:
    first, second = Keys(tmp_path), Keys(tmp_path)
    assert first.current("tokens") == second.current("tokens")
    assert first.current("tokens") != first.current("secrets")


def test_a_rotated_key_is_known_at_once_and_used_later(tmp_path: Path) -> None:
    running = Keys(tmp_path)
    old = running.current("tokens")
    made = rotate(tmp_path, token_seconds=60)
    assert running.current("tokens") == old
    assert running.find(made[0], "tokens") is not None
    now = rotate(tmp_path, token_seconds=60, delay=0)
    assert running.current("tokens").id == now[0]
    assert running.current("secrets").id == now[1]
    assert running.find(old.id, "tokens") == old


def test_a_busy_process_sees_new_keys_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that asks more often than it looks."""
    moments = itertools.count(step=0.1)
    monkeypatch.setattr("cyclades.security.keys.time.monotonic", lambda: next(moments))
    running = Keys(tmp_path)
    made = rotate(tmp_path, token_seconds=60, delay=0)
    assert any(running.current("tokens").id == made[0] for _ in range(100))


def test_an_unknown_key_is_looked_for_without_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys_module, "_LOOK_AGAIN", 3600.0)
    running = Keys(tmp_path)
    made = rotate(tmp_path, token_seconds=60)
    assert running.find(made[0], "tokens") is not None
    assert running.find(made[0], "secrets") is None
    assert running.find("../" + made[0], "tokens") is None


def _age(directory: Path, key_id: str, seconds: int) -> None:
    file = directory / f"tokens-{key_id}.json"
    key = json.loads(file.read_bytes())
    key["used_from"] -= seconds * 1_000_000
    file.write_text(json.dumps(key))


def test_rotation_removes_a_key_when_its_last_token_has_expired(tmp_path: Path) -> None:
    first = Keys(tmp_path).current("tokens").id
    second = rotate(tmp_path, token_seconds=60, delay=0)[0]
    rotate(tmp_path, token_seconds=60, delay=0)
    assert (tmp_path / f"tokens-{first}.json").exists()
    _age(tmp_path, second, 100)
    running = Keys(tmp_path)
    rotate(tmp_path, token_seconds=60, delay=0)
    assert not (tmp_path / f"tokens-{first}.json").exists()
    assert running.find(first, "tokens") is None
    assert running.find(second, "tokens") is not None
    assert len(list(tmp_path.glob("secrets-*"))) == 4


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    running = Keys(tmp_path)
    file = next(tmp_path.glob("tokens-*"))
    file.chmod(0o644)
    with pytest.raises(KeyFileError, match="chmod 600"):
        Keys(tmp_path)
    assert running.current("tokens")


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff"])
def test_a_broken_key_is_named(tmp_path: Path, content: bytes) -> None:
    Keys(tmp_path)
    file = next(tmp_path.glob("tokens-*"))
    file.write_bytes(content)
    with pytest.raises(KeyFileError, match=file.name):
        Keys(tmp_path)


def test_a_file_under_another_name_is_refused(tmp_path: Path) -> None:
    Keys(tmp_path)
    next(tmp_path.glob("tokens-*")).rename(tmp_path / f"tokens-{'0' * 16}.json")
    with pytest.raises(KeyFileError, match="not the key"):
        Keys(tmp_path)


def test_sealed_bytes_open_after_a_rotation(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    sealed = keys.seal(b"secret", "backend/1")
    assert b"secret" not in sealed
    assert sealed != keys.seal(b"secret", "backend/1")
    rotate(tmp_path, token_seconds=60, delay=0)
    assert keys.open(sealed, "backend/1") == b"secret"
    assert keys.seal(b"secret", "backend/1")[:8] != sealed[:8]


def test_what_does_not_open(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    sealed = keys.seal(b"secret", "backend/1")
    for other in (sealed[:-1] + bytes([sealed[-1] ^ 1]), b"\0" * len(sealed), sealed[:15], b""):
        with pytest.raises(Unsealable):
            keys.open(other, "backend/1")
    with pytest.raises(Unsealable):
        keys.open(sealed, "backend/2")
