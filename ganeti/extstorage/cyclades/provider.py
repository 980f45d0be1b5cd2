#!/usr/bin/python3 -IS
"""Ganeti's ExtStorage provider for the volumes of Cyclades.

Ganeti calls this file by the names of its actions (the links beside it), with what it asks for in the environment. A
volume's disk is made and deleted by Cyclades alone, in a pool: a directory that the nodes share. Here a disk is only
handed to a node and taken back, and it goes to nobody but whom its *card* names: `<pool>/cards/<disk>.json`, which
Cyclades writes before a server may have the disk. `create` binds the disk to the disk of Ganeti's that asks first
(VOL_UUID), so that neither an older instance nor one typed by hand gets it.

On a node, one qemu-storage-daemon for each disk shows the qcow2 file as a raw one (FUSE), and a loop device makes that
a block device. What there is of a disk is in /run/cyclades/<disk>/. Each action can be killed anywhere and called
again. A refusal is one line on stderr, which Ganeti shows to its operator.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

SETTINGS = "/etc/cyclades/node.json"
RUN = "/run/cyclades"

LOCK_SECONDS, START_SECONDS, END_SECONDS, BUSY_SECONDS = 30.0, 60.0, 60.0, 3.0
MIB = 1 << 20

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_LAYER = re.compile(r"[0-9A-Za-z-]{1,64}\.qcow2")
_LOOP_GET_STATUS64, _BLKROSET = 0x4C05, 0x125D
_PATH = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}


class Refused(Exception):
    """Its words are the operator's."""


# --- what is asked for, and whether it may be had --------------------------------------------------


class Asked(NamedTuple):
    """What a disk of Ganeti's asks for: the disk of a pool, for `owner` (`<backend>/<server id>`), by the attachment of
    this generation. `uuid` is that of Ganeti's disk."""

    disk: str
    pool: str
    owner: str
    generation: int
    uuid: str


class Card(NamedTuple):
    """What the pool says of a disk. `size` is bytes."""

    file: str
    size: int


class Settings(NamedTuple):
    """This node's: the name of its backend, and the directory of each pool."""

    backend: str
    pools: dict[str, str]


def asked() -> Asked:
    volume, generation, uuid = (os.environ.get(name, "") for name in ("EXTP_VOLUME", "EXTP_GENERATION", "VOL_UUID"))
    if not _UUID.fullmatch(volume):
        raise Refused(f"The parameter volume must be the id of a volume, not {volume!r}.")
    if not re.fullmatch("[0-9]{1,18}", generation):
        raise Refused(f"The parameter generation must be a number, not {generation!r}.")
    if not _UUID.fullmatch(uuid):
        raise Refused(f"VOL_UUID must be the uuid of a disk of Ganeti's, not {uuid!r}.")
    pool, owner = os.environ.get("EXTP_POOL", ""), os.environ.get("EXTP_OWNER", "")
    return Asked(f"snf-vol-{volume}", pool, owner, int(generation), uuid)


def mebibytes(variable: str) -> int:
    """The size that is in this variable, in bytes."""
    value = os.environ.get(variable, "")
    if not re.fullmatch("[0-9]{1,12}", value):
        raise Refused(f"{variable} must be a number of MiB, not {value!r}.")
    return int(value) * MIB


def read_settings() -> Settings:
    found = _json(SETTINGS)
    if found is None:
        raise Refused(f"This node has no {SETTINGS}: `cyclades node-files` makes it.")
    try:
        return Settings(str(found["backend"]), dict(found["pools"]))
    except (KeyError, TypeError, ValueError):
        raise Refused(f"{SETTINGS} is damaged: it must have backend and pools.") from None


def pool_directory(wanted: Asked) -> str:
    """Where the pool is on this node, if the owner is of the backend that the node belongs to."""
    settings = read_settings()
    if wanted.owner.partition("/")[0] != settings.backend:
        raise Refused(f"The owner {wanted.owner!r} is not of this node's backend, {settings.backend!r}.")
    if wanted.pool not in settings.pools:
        raise Refused(f"This node has no pool {wanted.pool!r} in {SETTINGS}.")
    return settings.pools[wanted.pool]


def card_of(wanted: Asked, directory: str) -> Card:
    """The disk's card. Refused if it names another owner, or another attachment."""
    card = _json(f"{directory}/cards/{wanted.disk}.json")
    if card is None:
        raise Refused(f"The pool {wanted.pool} has no card of {wanted.disk}: is {directory} mounted on this node?")
    try:
        owner, generation, layer, size = card["owner"], card["generation"], card["layer"], int(card["size"])
    except (KeyError, TypeError, ValueError):
        raise Refused(f"The card of {wanted.disk} is damaged.") from None
    if owner != wanted.owner:
        raise Refused(f"{wanted.disk} belongs to {owner or 'nobody'}, not to {wanted.owner}.")
    if generation != wanted.generation:
        raise Refused(f"{wanted.disk} was attached anew: its generation is {generation}, not {wanted.generation}.")
    if not _LAYER.fullmatch(str(layer)):
        raise Refused(f"The card of {wanted.disk} names no layer of the pool.")
    return Card(f"{directory}/layers/{layer}", size)


def check_bound(wanted: Asked, directory: str) -> None:
    bound = _read(_bound_file(wanted, directory))
    if bound is None:
        raise Refused(f"{wanted.disk} is bound to no disk of Ganeti's: nobody has added it.")
    if bound != wanted.uuid:
        raise Refused(f"{wanted.disk} is bound to Ganeti's disk {bound}, and not to {wanted.uuid}.")


def bind(wanted: Asked, directory: str) -> None:
    """Give the disk to this disk of Ganeti's, if no other has it in this generation. The file is whole when it gets its
    name, and one alone can get that."""
    bound = _bound_file(wanted, directory)
    new = f"{bound}.{os.getpid()}.new"
    try:
        with open(new, "w") as file:
            file.write(wanted.uuid + "\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(new, bound)
    finally:
        _remove(new)
    cards = os.open(f"{directory}/cards", os.O_RDONLY)
    os.fsync(cards)
    os.close(cards)
    check_bound(wanted, directory)


def _bound_file(wanted: Asked, directory: str) -> str:
    return f"{directory}/cards/{wanted.disk}.{wanted.generation}.bound"


# --- a disk on this node ---------------------------------------------------------------------------


class Here:
    """What there is of one disk on this node. `holder` says for whom (an `Asked`); while `fresh` is there, Ganeti is
    still making the disk; while `unwanted` is there, the process that it names waits to let go of the disk."""

    def __init__(self, disk: str) -> None:
        self.disk, self.home = disk, f"{RUN}/{disk}"
        self.raw, self.pid, self.qmp = f"{self.home}/raw", f"{self.home}/pid", f"{self.home}/qmp"
        self.holder, self.fresh, self.unwanted = f"{self.home}/holder", f"{self.home}/fresh", f"{self.home}/unwanted"

    @contextmanager
    def held(self) -> Iterator[None]:
        """One action at a time. Nothing stays of a disk that has no holder here."""

        def prepare() -> None:
            os.makedirs(self.home, mode=0o700, exist_ok=True)

        with lock(f"{self.home}/lock", prepare):
            try:
                yield
            finally:
                if not os.path.exists(self.holder):
                    for name in os.listdir(self.home):
                        _remove(f"{self.home}/{name}")
                    with suppress(OSError):  # another waits for the lock, and will do this
                        os.rmdir(self.home)

    def is_held_for(self, wanted: Asked) -> bool:
        return bool(_json(self.holder) == list(wanted))

    def is_of(self, wanted: Asked) -> bool:
        """Whether this disk of Ganeti's is the holder, with whatever parameters."""
        holder = _json(self.holder)
        return isinstance(holder, list) and holder[-1:] == [wanted.uuid]

    def hold_for(self, wanted: Asked) -> None:
        self.let_go()
        _remove(self.fresh)
        _write(self.holder, json.dumps(wanted))

    def serve(self, wanted: Asked, directory: str) -> str:
        """The disk as a block device: its path. Nothing is left of what does not come about."""
        if not self.is_held_for(wanted):
            self.hold_for(wanted)
        try:
            if not self._daemon_serves():
                self.let_go()
                # What is below the top of the disk's layers cannot change while they are opened: QEMU's own locks.
                with lock(f"{directory}/locks/disk-{wanted.disk}"):
                    self._start_daemon(card_of(wanted, directory).file)
            for loop in self.loops():
                return loop
            return _run(["losetup", "--find", "--show", "--direct-io=on", self.raw], START_SECONDS)
        except Refused:
            with suppress(Refused):
                self.let_go()
                _remove(self.holder)
            raise

    def _daemon_serves(self) -> bool:
        """Whether there is a daemon, and ready: one that was started by an action that was killed may not be yet."""
        _until(lambda: bool(_read(self.pid)) or not self._daemons(), START_SECONDS)
        return bool(self._daemons([int(_read(self.pid) or 0)]))

    def _daemons(self, among: list[int] | None = None) -> list[int]:
        """The process of the disk's daemon; two while it starts."""
        words = b"\0--pidfile\0" + self.pid.encode() + b"\0"
        pids = _processes() if among is None else among
        return [pid for pid in pids if words in (_bytes(f"/proc/{pid}/cmdline") or b"")]

    def _start_daemon(self, file: str) -> None:
        _write(self.raw, "")
        layer = {"driver": "file", "filename": file}
        disk = {"driver": "qcow2", "node-name": "disk", "discard": "unmap", "file": layer}
        export = {"type": "fuse", "id": "raw", "node-name": "disk", "mountpoint": self.raw, "writable": True}
        command = ["qemu-storage-daemon", "--daemonize", "--pidfile", self.pid, "--blockdev", json.dumps(disk)]
        command += ["--chardev", f"socket,id=qmp,path={self.qmp},server=on,wait=off", "--monitor", "chardev=qmp"]
        command += ["--export", json.dumps(export)]
        try:
            _run(command, START_SECONDS)
        except Refused as refusal:
            if re.search("another process using|Failed to get .*lock", str(refusal)):
                raise Refused(f"{self.disk} is still open on another node, or in another program.") from None
            raise

    def device(self) -> int | None:
        """The device number of the file system that shows the raw file, dead or alive; None if it is not there."""
        with open("/proc/self/mountinfo") as mounts:
            for line in mounts:
                words = line.split()
                if words[4] == self.raw:
                    major, _, minor = words[2].partition(":")
                    return os.makedev(int(major), int(minor))
        return None

    def loops(self) -> list[str]:
        """The loop devices on the raw file; one at most, if nobody made another by hand."""
        device, found = self.device(), []
        for name in os.listdir("/sys/block"):
            if device is not None and os.path.exists(f"/sys/block/{name}/loop"):
                with suppress(OSError), open(f"/dev/{name}", "rb") as loop:  # it may be taken away just now
                    status = fcntl.ioctl(loop, _LOOP_GET_STATUS64, bytes(232))
                    if struct.unpack_from("=Q", status)[0] == device:
                        found.append(f"/dev/{name}")
        return found

    def openers(self) -> list[str]:
        """The programs that have the disk open, as the block device or as the raw file."""
        device, loops, found = self.device(), self.loops(), set()
        if device is not None:
            for pid in _processes():
                with suppress(OSError):  # it may end just now
                    for number in os.listdir(f"/proc/{pid}/fd"):
                        link = f"/proc/{pid}/fd/{number}"
                        path = os.readlink(link)
                        if path in loops or (path == self.raw and os.stat(link).st_dev == device):
                            found.add(f"{(_read(f'/proc/{pid}/comm') or '').strip()} ({pid})")
        return sorted(found)

    def let_go(self) -> None:
        """Take the disk from this node: when this returns, block device and daemon are gone, and all that was written
        is in the pool. Refused, with nothing changed, while a program has it open."""
        if not _until(lambda: not self.openers(), BUSY_SECONDS):  # udev looks at each new block device for a moment
            raise Refused(f"{self.disk} is still open in {', '.join(self.openers())}.")
        for loop in self.loops():
            _set_read_only(loop, False)  # else the next who gets this loop device cannot write
            _run(["losetup", "--detach", loop], END_SECONDS)
        if not _until(lambda: not self.loops(), BUSY_SECONDS):
            raise Refused(f"{self.disk} is still in use as {', '.join(self.loops())}.")
        for pid in self._daemons():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)  # never KILL: what it has not written yet would go with it
        if not _until(lambda: not self._daemons(), END_SECONDS):
            raise Refused(f"The qemu-storage-daemon of {self.disk} does not end.")
        if self.device() is not None:
            _run(["umount", "--lazy", self.raw], END_SECONDS)  # left by a daemon that was killed
        for path in (self.pid, self.qmp, self.raw):
            _remove(path)

    def give_back(self) -> None:
        """Let go of the disk for good. What is still open is let go of when it is closed: Ganeti may have forgotten the
        disk by then."""
        try:
            self.let_go()
        except Refused:
            null = subprocess.DEVNULL
            command = [sys.executable, "-IS", os.path.realpath(__file__), "wait", self.disk]
            waiter = subprocess.Popen(
                command, stdin=null, stdout=null, stderr=null, start_new_session=True, env=_PATH, cwd="/"
            )
            _write(self.unwanted, str(waiter.pid))
            raise
        _remove(self.holder)

    def execute(self, command: str, arguments: dict[str, Any]) -> None:
        """Ask the daemon for something, over QMP."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(END_SECONDS)
            connection.connect(self.qmp)
            with connection.makefile("rwb") as stream:
                for each, words in (("qmp_capabilities", {}), (command, arguments)):
                    stream.write(json.dumps({"execute": each, "arguments": words}).encode() + b"\n")
                    stream.flush()
                    answer: dict[str, Any] = {}
                    while not {"return", "error"} & answer.keys():
                        answer = json.loads(stream.readline() or '{"error": {"desc": "the daemon has ended"}}')
                    if "error" in answer:
                        raise Refused(f"{self.disk}: {answer['error']['desc']}")


# --- the actions -----------------------------------------------------------------------------------


def create() -> None:
    """Find the disk that Cyclades made, and bind it."""
    wanted, size, name = asked(), mebibytes("VOL_SIZE"), os.environ.get("VOL_CNAME", "")
    if name != wanted.disk:
        raise Refused(f"The disk must be named {wanted.disk}, not {name!r}.")
    directory, here = pool_directory(wanted), Here(wanted.disk)
    with here.held():
        with lock(f"{directory}/locks/disk-{wanted.disk}"):
            card = card_of(wanted, directory)
            if card.size != size:
                raise Refused(f"{wanted.disk} has {card.size // MIB} MiB, not {size // MIB}.")
            bind(wanted, directory)
        here.hold_for(wanted)
        _write(here.fresh, "new")


def attach() -> None:
    """Print the block device, and how a QEMU opens the disk without it. Also called for what is attached, many times.

    Until Ganeti has finished with what it takes for a new disk, the device is read-only: a cluster with
    `prealloc_wipe_disks` would fill it with zeros."""
    wanted = asked()
    here = Here(wanted.disk)
    with here.held():
        try:
            directory = pool_directory(wanted)
            card_of(wanted, directory)
            check_bound(wanted, directory)
        except Refused:
            if here.is_of(wanted):
                with suppress(Refused):
                    here.give_back()
            raise
        loop = here.serve(wanted, directory)
        _remove(here.unwanted)
        _set_read_only(loop, os.path.exists(here.fresh))
    # A pool whose disks QEMU can open by itself (RBD) prints an empty first line, and its own address in the second.
    sys.stdout.write(f"{loop}\nkvm:file:{here.raw}")


def setinfo() -> None:
    """The last thing that Ganeti does to make a disk."""
    here = Here(asked().disk)
    with here.held():
        if os.path.exists(here.fresh):
            _write(here.fresh, "made")


def open_() -> None:
    """A guest is going to use the disk; or Ganeti has only just begun to make it."""
    here = Here(asked().disk)
    with here.held():
        if _read(here.fresh) == "made":
            _remove(here.fresh)
        for loop in here.loops():
            _set_read_only(loop, os.path.exists(here.fresh))


def detach() -> None:
    """Whatever the pool says: what this disk of Ganeti's has here, it gives back."""
    wanted = asked()
    here = Here(wanted.disk)
    with here.held():
        if here.is_of(wanted):
            here.give_back()


def grow() -> None:
    """Make the disk as large as Cyclades has said on the card that it is to be."""
    wanted, size = asked(), mebibytes("VOL_NEW_SIZE")
    directory, here = pool_directory(wanted), Here(wanted.disk)
    with here.held():
        card = card_of(wanted, directory)
        check_bound(wanted, directory)
        if size > card.size:
            raise Refused(f"{wanted.disk} has {card.size // MIB} MiB in Cyclades, which alone can make it larger.")
        loop = here.serve(wanted, directory)
        if os.stat(here.raw).st_size < size:
            here.execute("block_resize", {"node-name": "disk", "size": size})
        if not _until(lambda: os.stat(here.raw).st_size >= size, BUSY_SECONDS):
            raise Refused(f"{wanted.disk} did not grow.")
        _run(["losetup", "--set-capacity", loop], START_SECONDS)


def verify() -> None:
    """For operators: whether the node has what it needs. Ganeti does not call it."""
    settings = read_settings()
    for program in ("qemu-storage-daemon", "losetup", "umount"):
        if not any(os.access(f"{place}/{program}", os.X_OK) for place in _PATH["PATH"].split(":")):
            raise Refused(f"The program {program} is missing.")
    for device in ("/dev/fuse", "/dev/loop-control"):
        if not os.path.exists(device):
            raise Refused(f"{device} is missing: is its kernel module loaded?")
    for pool, directory in settings.pools.items():
        if not os.path.isdir(f"{directory}/layers"):
            raise Refused(f"{directory} has no pool of Cyclades: is the directory of {pool} mounted?")
        if not os.access(f"{directory}/cards", os.W_OK):
            raise Refused(f"{directory}/cards cannot be written to from this node.")
    print(f"Ready for servers of {settings.backend}, with pools: {', '.join(settings.pools) or 'none'}.")


def wait(disk: str) -> None:
    """Let go of a disk once nobody has it open, unless it is wanted again before."""
    here, over = Here(disk), False
    while not over:
        time.sleep(1.0)
        with here.held():
            over = _read(here.unwanted) != str(os.getpid())
            if not over and not here.openers():
                with suppress(Refused):
                    here.let_go()
                    _remove(here.holder)
                    over = True


ACTIONS: dict[str, Callable[[], None]] = {
    "create": create,
    "attach": attach,
    "setinfo": setinfo,
    "open": open_,
    "close": detach,
    "detach": detach,
    "remove": detach,  # the disk stays in the pool, and bound: Cyclades unbinds it when it has seen it go
    "grow": grow,
    "verify": verify,
}


def main() -> int:
    action, words = os.path.basename(sys.argv[0]), sys.argv[1:]
    try:
        if words[:1] == ["wait"]:
            wait(words[1])
        elif action in ACTIONS:
            ACTIONS[action]()
        else:
            raise Refused(f"call it as one of: {', '.join(ACTIONS)}")
    except Refused as refusal:
        print(f"cyclades: {refusal}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"cyclades: {action}: {error.strerror}: {error.filename}", file=sys.stderr)
        return 1
    return 0


# --- tools -----------------------------------------------------------------------------------------


@contextmanager
def lock(path: str, prepare: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold the lock whose file is `path`, as Cyclades does: whoever holds it may remove it. `prepare` makes its
    directory, where the lock is our own; a pool's lock is there as long as the disk."""
    until = time.monotonic() + LOCK_SECONDS
    while True:
        if prepare is not None:
            prepare()
        try:
            descriptor = os.open(path, os.O_RDWR | (0 if prepare is None else os.O_CREAT), 0o600)
        except FileNotFoundError:
            if prepare is None:
                raise Refused(f"{path} is missing: no such disk, or the pool is not mounted on this node.") from None
            continue  # its directory was removed just now
        with suppress(BlockingIOError, FileNotFoundError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                break
        os.close(descriptor)
        if time.monotonic() > until:
            raise Refused("The disk is busy with another operation.")
        time.sleep(0.01)
    try:
        yield
    finally:
        os.close(descriptor)


def _run(command: list[str], seconds: float) -> str:
    """Run a program to its end, without a shell. Refused with its last line if it fails."""
    pipe, stdin = subprocess.PIPE, subprocess.DEVNULL
    try:
        process = subprocess.Popen(command, stdin=stdin, stdout=pipe, stderr=subprocess.STDOUT, env=_PATH, cwd="/")
    except OSError as error:
        raise Refused(f"{command[0]} cannot be started: {error.strerror}.") from None
    try:
        said = process.communicate(timeout=seconds)[0].decode("utf-8", "replace").strip()
    except subprocess.TimeoutExpired:
        process.kill()
        raise Refused(f"{command[0]} does not come to an end.") from None
    if process.returncode != 0:
        raise Refused(said.rpartition("\n")[2] or f"{command[0]} failed.")
    return said


def _until(true: Callable[[], bool], seconds: float) -> bool:
    until = time.monotonic() + seconds
    while not true():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def _processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _set_read_only(loop: str, read_only: bool) -> None:
    with open(loop, "rb") as device:
        fcntl.ioctl(device, _BLKROSET, struct.pack("i", read_only))


def _bytes(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None


def _read(path: str) -> str | None:
    found = _bytes(path)
    return None if found is None else found.decode("utf-8", "replace").strip()


def _json(path: str) -> Any:
    """What the file holds; None if it is not there."""
    text = _read(path)
    try:
        return None if text is None else json.loads(text)
    except ValueError:
        raise Refused(f"{path} is damaged.") from None


def _write(path: str, text: str) -> None:
    """Whole or not at all. It need not outlive the machine."""
    with open(path + ".new", "w") as file:
        file.write(text)
    os.rename(path + ".new", path)


def _remove(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)


if __name__ == "__main__":
    sys.exit(main())
