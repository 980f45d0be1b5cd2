"""Servers as QEMU processes of this machine."""

from __future__ import annotations

from cyclades.backends.local.backend import LocalBackend

__all__ = ["LocalBackend"]
