"""KVM where it truly works: what is tried, and what is remembered."""

from __future__ import annotations

from pathlib import Path

import pytest

from cyclades.backends.local import accelerator
from cyclades.backends.local.process import Guard

QEMU = "qemu-system-x86_64"
USER = 64321


@pytest.fixture
def guard(directory: Path) -> Guard:
    return Guard(USER, directory)


def program(directory: Path, *lines: str) -> str:
    path = directory / "qemu"
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)
    return str(path)


async def test_a_guest_boots_and_says_the_word(directory: Path, guard: Guard) -> None:
    assert await accelerator.boots("tcg", QEMU, directory, guard)
    assert list(directory.iterdir()) == []


async def test_an_accelerator_that_is_not_there(directory: Path, guard: Guard) -> None:
    assert not await accelerator.boots("hvf", QEMU, directory, guard)


@pytest.mark.parametrize("line", ["exec sleep 600", "exit 1", "echo something else", "exec /nowhere/qemu"])
async def test_what_does_not_say_the_word(
    directory: Path, guard: Guard, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on nested hosts where `/dev/kvm` opens and the guest dies or crawls."""
    monkeypatch.setattr(accelerator, "_SECONDS", 0.3)
    assert not await accelerator.boots("kvm", program(directory, line), directory, guard)


async def test_a_qemu_that_is_not_there(directory: Path, guard: Guard) -> None:
    guard.user = None
    assert not await accelerator.boots("kvm", "/nowhere/qemu", directory, guard)


@pytest.mark.parametrize("wanted", ["kvm", "tcg"])
async def test_what_was_chosen_by_hand_is_not_tried(directory: Path, guard: Guard, wanted: str) -> None:
    assert await accelerator.choose(wanted, "/nowhere/qemu", directory / "memory", guard) == wanted
    assert not (directory / "memory").exists()


async def test_the_answer_is_kept_for_the_machines_boot(directory: Path, guard: Guard) -> None:
    memory = directory / "memory"
    found = await accelerator.choose("auto", QEMU, memory, guard)
    boot, answer = memory.read_text().split()
    assert answer == found
    other = {"kvm": "tcg", "tcg": "kvm"}[found]
    memory.write_text(f"{boot} {other}\n")
    assert await accelerator.choose("auto", QEMU, memory, guard) == other
    for stale in (f"another-boot {other}\n", "", "torn", "\0\xff", f"{boot} {other} and more\n"):
        memory.write_text(stale, "latin-1")
        assert await accelerator.choose("auto", QEMU, memory, guard) == found
        assert memory.read_text().split() == [boot, found]
