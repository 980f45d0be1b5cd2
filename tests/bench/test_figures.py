from __future__ import annotations

import pytest
from bench.figures import ms, percentile


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ([3.0], 50, 3.0),
        ([3.0], 0, 3.0),
        ([4.0, 1.0, 3.0, 2.0], 50, 2.0),
        ([4.0, 1.0, 3.0, 2.0], 51, 3.0),
        ([4.0, 1.0, 3.0, 2.0], 100, 4.0),
        ([float(n) for n in range(1, 101)], 95, 95.0),
    ],
)
def test_a_percentile_is_the_nearest_rank(values: list[float], percent: float, expected: float) -> None:
    assert percentile(values, percent) == expected


def test_nothing_has_no_percentile() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0002, "0.20 ms"), (0.0123, "12.3 ms"), (0.25, "250 ms"), (1.5, "1,500 ms")]
)
def test_milliseconds(seconds: float, text: str) -> None:
    assert ms(seconds) == text
