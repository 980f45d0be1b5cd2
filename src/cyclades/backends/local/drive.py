"""The config drives: small FAT file systems, each with a label that cloud-init looks for."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from cyclades.model.errors import Failed

_KIB = 2880


def make(path: Path, label: str, files: Mapping[str, bytes]) -> None:
    """Write the drive with these files, by their path on it. Blocks."""
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    _run("mkfs.fat", "-n", label, "-C", str(new), str(_KIB))
    with tempfile.TemporaryDirectory() as directory:
        for name, content in files.items():
            file = Path(directory, name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        tops = [str(top) for top in sorted(Path(directory).iterdir())]
        _run("mcopy", "-s", "-Q", "-i", str(new), *tops, "::")
    new.rename(path)


def _run(*command: str) -> None:
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False
    )
    if done.returncode != 0:
        raise Failed(f"The config drive cannot be made: {done.stderr.decode('utf-8', 'replace').strip()[-300:]}")
