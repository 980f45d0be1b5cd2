#!/usr/bin/python3 -IS
"""Ganeti's OS definition for servers of Cyclades: writes an image to the first disk.

Ganeti calls this file by the names of its actions (the links beside it), with OS parameters and disks in the
environment. The image comes from Cyclades, piece by piece: who serves it sees by the pieces how far this is (Ganeti
hands on nothing of what an OS definition says before it has ended). A disk that is a volume of a pool needs no image:
without the parameter `url`, nothing is touched.
"""

from __future__ import annotations

import ctypes
import hashlib
import http.client
import json
import os
import re
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

MIB = 1 << 20
PIECE = 32 * MIB  # asked for at a time
BLOCK = MIB  # written at a time, unless it is all zeros
READ_SECONDS, TRIES, LONGEST_PAUSE = 60.0, 8, 16.0

_HOLE = 0x02 | 0x01  # FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE
_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}


class Refused(Exception):
    """Its words are the operator's, and the user's."""


class Image(NamedTuple):
    """`format` is `raw` or `qcow2`; `ca` is the certificate that Cyclades' own is checked by (PEM), if not the
    system's."""

    url: str
    token: str
    sha512: str
    format: str
    ca: str


def wanted() -> Image | None:
    """What the OS parameters ask for; None if they ask for no image."""
    image = Image(*(os.environ.get(f"OSP_{name.upper()}", "") for name in Image._fields))
    if not image.url:
        return None
    if not re.fullmatch("https?://[^/].*", image.url):
        raise Refused("The OS parameter url must begin with http:// or https://.")
    if not re.fullmatch("[0-9a-f]{128}", image.sha512):
        raise Refused("The OS parameter sha512 must be 128 hexadecimal digits.")
    if image.format not in ("raw", "qcow2"):
        raise Refused("The OS parameter format must be raw or qcow2.")
    return image


# --- fetching --------------------------------------------------------------------------------------


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The token goes to Cyclades, and to nobody that it may point to."""

    def redirect_request(self, *args: Any) -> None:
        return None


class Source:
    """The image as Cyclades serves it. `size` is bytes, known after the first piece."""

    def __init__(self, image: Image) -> None:
        self._image, self.size = image, 0
        context = ssl.create_default_context(cadata=image.ca or None)
        nothing = urllib.request.ProxyHandler({})
        self._opener = urllib.request.build_opener(_NoRedirect, nothing, urllib.request.HTTPSHandler(context=context))

    def blocks(self) -> Iterator[bytes]:
        """The whole image in order, `BLOCK` bytes each but the last. Refused at its end if it is not the right one."""
        found, position = hashlib.sha512(), 0
        while position == 0 or position < self.size:
            for block in self._piece(position):
                found.update(block)
                position += len(block)
                yield block
            print(f"{position // MIB} of {self.size // MIB} MiB", flush=True)
        if found.hexdigest() != self._image.sha512:
            raise Refused("The image is damaged: its sha512 is not the one that was asked for.")

    def _piece(self, begin: int) -> list[bytes]:
        """From this byte on; a connection that breaks is tried again."""
        for attempt in range(TRIES):
            try:
                return self._ask(begin)
            except urllib.error.HTTPError as answer:
                if answer.code < 500 or attempt == TRIES - 1:
                    raise Refused(f"Cyclades answers {answer.code} {answer.reason} instead of the image.") from None
            except (OSError, http.client.HTTPException) as error:
                if attempt == TRIES - 1:
                    raise Refused(f"The image cannot be fetched: {error}") from None
            time.sleep(min(2.0**attempt, LONGEST_PAUSE))
        raise AssertionError

    def _ask(self, begin: int) -> list[bytes]:
        headers = {"X-Auth-Token": self._image.token, "Range": f"bytes={begin}-{begin + PIECE - 1}"}
        request = urllib.request.Request(self._image.url, headers=headers)  # noqa: S310, wanted() looked at it
        with self._opener.open(request, timeout=READ_SECONDS) as answer:
            place = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", answer.headers.get("Content-Range", ""))
            if answer.status != 206 or place is None or int(place[1]) != begin:
                raise Refused("Cyclades does not answer with a piece of the image.")
            self.size, left = int(place[3]), int(place[2]) + 1 - begin
            blocks = []
            while left:
                block = answer.read(min(BLOCK, left))
                if not block:
                    raise ConnectionResetError("the answer is too short")
                left -= len(block)
                blocks.append(block)
            return blocks


# --- writing ---------------------------------------------------------------------------------------


def write_raw(source: Source, target: BinaryIO, size: int) -> None:
    """As it is; zeros take no space where the disk can be thin."""
    position = 0
    for block in source.blocks():
        if source.size > size:
            raise Refused(f"The image of {source.size} bytes does not fit on the disk, which has {size}.")
        if block.count(0) != len(block) or not _make_hole(target, position, len(block)):
            os.pwrite(target.fileno(), block, position)
        position += len(block)


def write_qcow2(source: Source, path: str, size: int) -> None:
    """By way of a file without a name, since qemu-img reads it in no order: it is gone with this process."""
    with tempfile.TemporaryFile(dir="/var/tmp") as file:
        for block in source.blocks():
            file.write(block)
        file.flush()
        name, fds = f"/proc/self/fd/{file.fileno()}", [file.fileno()]
        info = json.loads(_qemu_img(["info", "--output", "json", "-f", "qcow2", name], fds))
        data_file = info.get("format-specific", {}).get("data", {}).get("data-file")
        if "backing-filename" in info or data_file is not None:
            raise Refused("The image is not whole: it refers to another file.")
        if info["virtual-size"] > size:
            raise Refused(f"The image of {info['virtual-size']} bytes does not fit on the disk, which has {size}.")
        _qemu_img(["convert", "-n", "-f", "qcow2", "-O", "raw", name, path], fds)


def _qemu_img(words: list[str], fds: list[int]) -> str:
    command = ["qemu-img", *words]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, pass_fds=fds, env=_ENVIRONMENT, check=False
    )
    if done.returncode != 0:
        raise Refused(f"The image cannot be written: {done.stderr.strip() or done.returncode}")
    return done.stdout


def _make_hole(target: BinaryIO, position: int, length: int) -> bool:
    """Have zeros there, without writing them. False where the disk cannot."""
    libc = ctypes.CDLL(None, use_errno=True)
    offset = ctypes.c_longlong
    return bool(libc.fallocate(target.fileno(), _HOLE, offset(position), offset(length)) == 0)


# --- the actions -----------------------------------------------------------------------------------


def create() -> None:
    image = wanted()
    if image is None:
        print("No image was asked for: the disks stay as they are.")
        return
    if os.environ.get("INSTANCE_REINSTALL") == "1":
        raise Refused("A server of Cyclades is not reinstalled by Ganeti: its first disk stays as it is.")
    path = os.environ.get("DISK_0_PATH")
    if not path:
        raise Refused("The first disk has no device or file on this node.")
    with open(path, "r+b", buffering=0) as target:
        size = target.seek(0, os.SEEK_END)
        if image.format == "raw":
            write_raw(Source(image), target, size)
        else:
            write_qcow2(Source(image), path, size)
        os.fsync(target.fileno())
    print("The image is on the disk.")


def verify() -> None:
    wanted()


def rename() -> None:
    """Nothing on a disk has the instance's name."""


def move() -> None:
    raise Refused("Ganeti neither exports nor imports servers of Cyclades.")


ACTIONS = {"create": create, "verify": verify, "rename": rename, "export": move, "import": move}


def main() -> int:
    try:
        ACTIONS[os.path.basename(sys.argv[0])]()
    except Refused as refusal:
        print(f"cyclades-image: {refusal}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"cyclades-image: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
