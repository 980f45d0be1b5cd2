from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyclades.model.errors import Invalid
from cyclades.model.units import GIB, MIB
from cyclades.pools import image_format
from cyclades.pools.image_format import ImageHeader, inspect, read, recognise


def make(path: Path, file_format: str, *options: str, size: str = "10M") -> Path:
    subprocess.run(["qemu-img", "create", "-q", "-f", file_format, *options, path, size], check=True)
    return path


def refusal(path: Path, expected: str | None = None) -> str:
    with pytest.raises(Invalid) as refused:
        inspect(path, expected)
    return refused.value.message


@pytest.mark.parametrize(
    "options", ["compat=0.10", "compat=1.1", "cluster_size=512", "cluster_size=2M", "extended_l2=on"]
)
def test_every_plain_qcow2_is_accepted(tmp_path: Path, options: str) -> None:
    path = make(tmp_path / "a", "qcow2", "-o", options, size="1G")
    assert inspect(path, "qcow2") == ImageHeader("qcow2", GIB)


def test_zstd_compression_is_accepted(tmp_path: Path) -> None:
    assert inspect(make(tmp_path / "a", "qcow2", "-o", "compression_type=zstd")).virtual_size == 10 * MIB


def test_a_raw_file_is_as_large_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"\xeb\x63\x90" + bytes(100_000))
    assert inspect(path, "raw") == ImageHeader("raw", 100_003)


@pytest.mark.parametrize("file_format", ["vmdk", "vhdx", "vpc", "vdi", "qed", "parallels", "qcow"])
def test_other_formats_are_refused_under_any_name(tmp_path: Path, file_format: str) -> None:
    path = make(tmp_path / "a", file_format)
    for expected in (None, "raw", "qcow2"):
        assert "not supported" in refusal(path, expected)


def test_a_fixed_vhd_is_known_by_its_end(tmp_path: Path) -> None:
    assert "vhd" in refusal(make(tmp_path / "a", "vpc", "-o", "subformat=fixed"), "raw")


def test_an_iso_is_refused_and_a_hybrid_is_raw() -> None:
    iso = bytearray(40_000)
    iso[32769:32774] = b"CD001"
    assert recognise(bytes(iso)) == "iso"
    iso[510:512] = b"\x55\xaa"
    assert recognise(bytes(iso)) == "raw"


def test_a_packed_image_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"\x1f\x8b\x08" + bytes(100))
    assert "unpack it first" in refusal(path)


def test_a_wrong_name_is_refused(tmp_path: Path) -> None:
    assert refusal(make(tmp_path / "a", "qcow2"), "raw") == "The image is qcow2, not raw."
    assert refusal(make(tmp_path / "b", "raw"), "qcow2") == "The image is raw, not qcow2."


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    assert "empty" in refusal(tmp_path / "a")


def test_files_outside_are_refused(tmp_path: Path) -> None:
    make(tmp_path / "base", "raw")
    assert "backing file" in refusal(make(tmp_path / "a", "qcow2", "-b", str(tmp_path / "base"), "-F", "raw"))
    data = make(tmp_path / "b", "qcow2", "-o", f"data_file={tmp_path / 'data'}")
    assert "data file" in refusal(data)
    body = bytearray(data.read_bytes())
    body[72:80] = bytes(8)  # the same without the feature's bit: the extension that names the file is still there
    data.write_bytes(body)
    assert "data file" in refusal(data)


def test_internal_snapshots_are_refused(tmp_path: Path) -> None:
    path = make(tmp_path / "a", "qcow2")
    subprocess.run(["qemu-img", "snapshot", "-c", "s", path], check=True)
    assert "internal snapshots" in refusal(path)


@pytest.mark.parametrize(
    ("offset", "value", "message"),
    [
        (4, struct.pack(">I", 4), "version 4"),
        (8, struct.pack(">Q", 512), "backing file"),
        (20, struct.pack(">I", 8), "clusters of 2^8"),
        (20, struct.pack(">I", 99), "clusters of 2^99"),
        (32, struct.pack(">I", 2), "encrypted"),
        (24, struct.pack(">Q", 0), "0 bytes"),
        (24, struct.pack(">Q", 1 << 62), "too small for its virtual size"),
        (36, struct.pack(">I", 0), "too small for its virtual size"),
        (36, struct.pack(">I", 1 << 31), "impossible L1 table"),
        (40, struct.pack(">Q", 1 << 40), "cut off"),
        (40, struct.pack(">Q", 77), "impossible L1 table"),
        (48, struct.pack(">Q", 1 << 40), "cut off"),
        (48, struct.pack(">Q", 0), "impossible refcount table"),
        (56, struct.pack(">I", 0), "impossible refcount table"),
        (56, struct.pack(">I", 1 << 30), "impossible refcount table"),
        (72, struct.pack(">Q", 1), "not closed"),
        (72, struct.pack(">Q", 2), "corrupt"),
        (72, struct.pack(">Q", 4), "data file"),
        (72, struct.pack(">Q", 1 << 5), "unknown features"),
        (72, struct.pack(">Q", 1 << 63), "unknown features"),
        (96, struct.pack(">I", 7), "reference counts"),
        (100, struct.pack(">I", 80), "a header of 80"),
        (100, struct.pack(">I", 1 << 30), "a header of"),
        (116, struct.pack(">I", 1 << 30), "does not end"),
    ],
)
def test_broken_headers_are_refused(tmp_path: Path, offset: int, value: bytes, message: str) -> None:
    path = make(tmp_path / "a", "qcow2")
    body = bytearray(path.read_bytes())
    body[offset : offset + len(value)] = value
    path.write_bytes(body)
    assert message in refusal(path)


@pytest.mark.parametrize("length", [4, 60, 103, 65536, 190_000])
def test_a_qcow2_cut_off_in_its_tables_is_refused(tmp_path: Path, length: int) -> None:
    path = make(tmp_path / "a", "qcow2")
    body = path.read_bytes()[:length]
    path.write_bytes(body)
    assert refusal(path)


@given(st.binary(max_size=600), st.integers(1, 1 << 50))
def test_no_header_is_too_strange(body: bytes, size: int) -> None:
    for head in (body, b"QFI\xfb\0\0\0\x03" + body):
        try:
            header = read(head, head[-image_format.TAIL :], size)
        except Invalid:
            continue
        assert header.format in image_format.FORMATS
        assert header.virtual_size > 0
