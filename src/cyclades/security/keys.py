"""Keys: files in a directory, outside the database, that only their owner can read.

`tokens-<id>.json` signs tokens, `secrets-<id>.json` seals what the database must not show. The newest of
each kind is the one in use; the older ones still check and open what they made. All processes share the
directory, or are given copies of it. A new key of a rotation is put to use only after a little while, so
that everybody has seen it by then.
"""

from __future__ import annotations

import itertools
import os
import re
import secrets
import time
from pathlib import Path
from typing import Literal

import msgspec
import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

log = structlog.get_logger("cyclades.keys")

Use = Literal["tokens", "secrets"]
_USES: tuple[Use, ...] = ("tokens", "secrets")
_FILE = re.compile(r"(tokens|secrets)-([0-9a-f]{16})\.json")
_LOOK_AGAIN = 2.0  # seconds
_SECRET = 32  # bytes
_NONCE = 12  # bytes
DELAY = 30  # seconds until a new key is used


class KeyFileError(Exception):
    """A key file that cannot be used, or a directory that cannot be written; the message says why."""


class Unsealable(Exception):
    """Sealed bytes that no key here opens: changed, of another context, or of a key that is gone."""


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """`used_from` is µs since 1970 UTC."""

    id: str
    use: Use
    used_from: int
    secret: bytes


class Keys:
    """The keys of a directory; made when there are none. Follows what happens to the files."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._keys: dict[str, Key] = {}
        self._names: frozenset[str] = frozenset()
        self._looked_at = 0.0
        for use in _USES:
            if not any(name.startswith(use) for name in _key_files(directory)):
                _make(directory, use, used_from=0)
        self._load()

    def current(self, use: Use) -> Key:
        """The one to sign or seal with."""
        self._look()
        now = time.time_ns() // 1000
        of_use = sorted((key for key in self._keys.values() if key.use == use), key=lambda key: (key.used_from, key.id))
        if not of_use:
            raise KeyFileError(f"{self._directory} has no key for {use} any more")
        return next((key for key in reversed(of_use) if key.used_from <= now), of_use[0])

    def find(self, key_id: str, use: Use) -> Key | None:
        self._look()
        name = f"{use}-{key_id}.json"
        if name not in self._names and _FILE.fullmatch(name) and (self._directory / name).exists():
            self._load()
        key = self._keys.get(key_id)
        return key if key is not None and key.use == use else None

    def seal(self, data: bytes, context: str) -> bytes:
        """Encrypt, for `open` with the same `context` (what the data is and whose, so that nobody can swap two)."""
        key = self.current("secrets")
        nonce = os.urandom(_NONCE)
        return bytes.fromhex(key.id) + nonce + AESGCM(key.secret).encrypt(nonce, data, context.encode())

    def open(self, sealed: bytes, context: str) -> bytes:
        """What was sealed. Raises `Unsealable`."""
        key = self.find(sealed[:8].hex(), "secrets")
        if key is None:
            raise Unsealable("there is no key for this any more")
        try:
            return AESGCM(key.secret).decrypt(sealed[8 : 8 + _NONCE], sealed[8 + _NONCE :], context.encode())
        except (InvalidTag, ValueError) as error:
            raise Unsealable("this was changed, or sealed for something else") from error

    def _look(self) -> None:
        if time.monotonic() - self._looked_at > _LOOK_AGAIN:
            self._looked_at = time.monotonic()
            if _key_files(self._directory) != self._names:
                self._load()

    def _load(self) -> None:
        names, found = _key_files(self._directory), {}
        for name in names:
            try:
                key = _read(self._directory / name)
            except KeyFileError as error:
                if not self._keys:
                    raise
                log.error("keys.unusable", reason=str(error))  # a running process goes on with those it can read
            else:
                found[key.id] = key
        self._keys, self._names, self._looked_at = found, names, time.monotonic()


def rotate(directory: Path, *, token_seconds: int, delay: int = DELAY) -> list[str]:
    """Make new keys, used `delay` seconds from now, and remove those that signed no token which still lives.
    Returns the new ids. Keys that seal are kept: the database has what they sealed."""
    now = time.time_ns() // 1000
    made = [_make(directory, use, used_from=now + delay * 1_000_000) for use in _USES]
    signing = sorted(
        (key for key in map(_read, map(directory.joinpath, _key_files(directory))) if key.use == "tokens"),
        key=lambda key: key.used_from,
    )
    for key, successor in itertools.pairwise(signing):
        if successor.used_from + (token_seconds + DELAY) * 1_000_000 < now:
            (directory / f"tokens-{key.id}.json").unlink()
    return made


def survey(directory: Path) -> tuple[list[tuple[Use, float]], list[str]]:
    """The use of each key that can be used, and when its file was written (seconds since 1970); and what is wrong with
    the others."""
    found: list[tuple[Use, float]] = []
    problems = []
    for name in sorted(_key_files(directory)):
        try:
            found.append((_read(directory / name).use, (directory / name).stat().st_mtime))
        except KeyFileError as error:
            problems.append(str(error))
    return found, problems


def _key_files(directory: Path) -> frozenset[str]:
    try:
        return frozenset(name for name in os.listdir(directory) if _FILE.fullmatch(name))
    except FileNotFoundError:
        return frozenset()


def _make(directory: Path, use: Use, *, used_from: int) -> str:
    """Write a new key so that it is there whole, or not at all."""
    key = Key(id=secrets.token_hex(8), use=use, used_from=used_from, secret=secrets.token_bytes(_SECRET))
    partial = directory / f".{key.id}.new"
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(msgspec.json.encode(key))
            file.flush()
            os.fsync(file.fileno())
        partial.rename(directory / f"{use}-{key.id}.json")
        handle = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        raise KeyFileError(f"{directory}: a key cannot be written: {error}") from error
    return key.id


def _read(path: Path) -> Key:
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise KeyFileError(f"{path} can be read by others: chmod 600 it, and rotate the keys")
            key = msgspec.json.decode(file.read(), type=Key)
    except (OSError, msgspec.DecodeError) as error:
        raise KeyFileError(f"{path} cannot be read: {error}") from error
    if path.name != f"{key.use}-{key.id}.json" or len(key.secret) != _SECRET:
        raise KeyFileError(f"{path} is not the key that its name says")
    return key
