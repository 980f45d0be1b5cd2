"""The lasting connection to one Ceph pool, and what Ceph's errors mean."""

from __future__ import annotations

import errno
import json
import re
import time
from collections.abc import Callable
from typing import Any

import rados
import rbd

from .books import Books
from .locks import Locks

CONNECT_SECONDS = 15
_ASK_SECONDS = 10
_ANSWER_SECONDS = 5.0
_FENCE_SECONDS = 3600
_ENGINES = "cyclades.engines"
_MOST_ENGINES = 10_000
_ADDRESS = re.compile(r"v[12]:([^,\]]+)")

Progress = Callable[[float], None]


class Refused(Exception):
    """`fault` is the name of an error of `model/errors.py`, in small letters."""

    def __init__(self, fault: str, why: str) -> None:
        super().__init__(why)
        self.fault = fault


def failed(why: str) -> Refused:
    return Refused("failed", why)


def passing(why: str) -> Refused:
    return Refused("passing", why)


class Cluster:
    """`before`: addresses of clients that must not write any more."""

    def __init__(self, conf: str, user: str, keyring: str | None, pool: str, before: list[str]) -> None:
        self.pool = pool
        self._rados = rados.Rados(conffile=conf, name=f"client.{user}")
        if keyring:
            self._rados.conf_set("keyring", keyring)
        # The binding cannot ask for it by an argument: clones whose snapshots need not be protected.
        self._rados.conf_set("rbd_default_clone_format", "2")
        # An operator who deletes does so in Cyclades; a trash that keeps would keep the space as well.
        self._rados.conf_set("rbd_move_to_trash_on_remove", "false")
        self._rados.connect(timeout=CONNECT_SECONDS)
        for address in before:
            self.fence(address)
        self.io = self._rados.open_ioctx(pool)
        self.addresses = _ADDRESS.findall(self._rados.get_addrs())
        self.rbd = rbd.RBD()
        self._sign_in(before)
        self.locks = Locks(self.io)
        self.books = Books(self.io)

    def ask(self, command: str, **arguments: Any) -> Any:
        words = json.dumps({"prefix": command, "format": "json", **arguments})
        code, answer, said = self._rados.mon_command(words, b"", timeout=_ASK_SECONDS)
        if code < 0:
            raise rados.OSError(f"{command}: {said}", errno=-code)
        return json.loads(answer) if answer else None

    def _sign_in(self, before: list[str]) -> None:
        with rados.WriteOpCtx() as op:
            self.io.set_omap(op, tuple(self.addresses), tuple(b"1" for _ in self.addresses))
            if before:
                self.io.remove_omap_keys(op, tuple(before))
            if not _ends(self.io.operate_aio_write_op(op, _ENGINES)):
                raise Refused("away", self.trouble() or "Ceph does not answer.")

    def sign_out(self) -> None:
        with rados.WriteOpCtx() as op:
            self.io.remove_omap_keys(op, tuple(self.addresses))
            self.io.operate_write_op(op, _ENGINES)

    def engines(self) -> set[str]:
        """Addresses of the workers of all engines; of one whose machine died, until another has the same."""
        with rados.ReadOpCtx() as op:
            found, _ = self.io.get_omap_vals(op, "", "", _MOST_ENGINES)
            self.io.operate_read_op(op, _ENGINES)
            return {address for address, _ in found}

    def fence(self, address: str) -> None:
        """Let a client write nothing any more, whatever it still has under way."""
        self._rados.blocklist_add(address, _FENCE_SECONDS)
        self._rados.wait_for_latest_osdmap()

    def usage(self) -> tuple[int, int]:
        """Bytes in all and free, as Ceph counts what the pool can still take."""
        found = next((pool["stats"] for pool in self.ask("df")["pools"] if pool["name"] == self.pool), None)
        if found is None:  # its manager has only just begun
            raise Refused("away", "Ceph does not know yet how full the pool is.")
        free = int(found["max_avail"])
        return int(found["stored"]) + free, free

    def trouble(self) -> str | None:
        """Why Ceph may not answer, in words for a user; None if all looks well. Raises if no monitor answers."""
        flags = self.ask("osd dump")["flags"].split(",")
        checks = self.ask("health", detail="detail")["checks"]
        for check, why in (("OSD_FULL", "is full"), ("POOL_FULL", "is full")):
            if check in checks:
                return f"Ceph {why}."
        if "full" in flags:
            return "Ceph is full."
        if {"pausewr", "pauserd"} & set(flags):
            return "Ceph is paused: it takes no writes."
        for check in ("OSD_DOWN", "PG_AVAILABILITY"):
            if check in checks:
                return f"Ceph is not whole: {checks[check]['summary']['message']}."
        return None if self._reads() else "Ceph's OSDs do not answer."

    def _reads(self) -> bool:
        """Whether an object can be read: monitors notice late that an OSD hangs."""
        return _ends(self.io.aio_read(_ENGINES, 1, 0, lambda completion, body: None))


def _ends(completion: Any) -> bool:
    """Wait for it, but not for ever: librados would."""
    until = time.monotonic() + _ANSWER_SECONDS
    while not completion.is_complete():
        if time.monotonic() > until:
            return False
        time.sleep(0.002)
    return True


_NAMES = {
    errno.ENOSPC: ("away", "The Ceph pool is full."),
    errno.EDQUOT: ("away", "The Ceph pool is full: its quota is used up."),
    errno.EROFS: ("away", "The Ceph pool is read-only."),
    errno.ETIMEDOUT: ("away", "Ceph does not answer."),
    errno.ESHUTDOWN: ("fenced", "Ceph no longer listens to this client."),
    errno.EBUSY: ("passing", "The disk is in use by another program."),
    errno.ENOTCONN: ("away", "Ceph cannot be reached."),
    errno.EACCES: ("away", "Ceph refuses this user: its key or its rights do not fit."),
    errno.EPERM: ("away", "Ceph refuses this user: its key or its rights do not fit."),
}


def explain(error: Exception) -> tuple[str, str]:
    """The fault that an error is, and the reason that the user reads."""
    if isinstance(error, Refused):
        return error.fault, str(error)
    number = getattr(error, "errno", None)
    number = abs(number) if isinstance(number, int) else None
    if isinstance(error, rados.TimedOut | rados.InterruptedOrTimeoutError):
        number = errno.ETIMEDOUT
    if isinstance(error, rados.ObjectNotFound | rados.Error) and not isinstance(error, rbd.Error) and number is None:
        return "away", f"Ceph cannot be used: {error}"
    if number in _NAMES:
        return _NAMES[number]
    return "failed", f"Ceph refused: {type(error).__name__}."
