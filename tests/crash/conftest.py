"""Leaves out the crash cases that this run did not choose (`tests/crash_cases.py`)."""

from __future__ import annotations

import pytest
from tests import crash_cases


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = [item for item in items if item.nodeid.startswith("tests/crash/") and not _chosen(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


def _chosen(item: pytest.Item) -> bool:
    callspec = getattr(item, "callspec", None)
    return callspec is None or crash_cases.is_chosen(callspec.params["database_kind"], callspec.id)
