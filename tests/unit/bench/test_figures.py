from __future__ import annotations

import pytest

from tests.bench.figures import Comparison, Series, at_least, at_most, percentile, spread


def series(*figures: float) -> Series:
    return Series("a", "events/s", list(figures))


def test_the_median_of_an_even_number_of_rounds_lies_between_the_middle_two() -> None:
    found = spread([4, 1, 3, 2])
    assert (found.median, found.lowest, found.highest) == (2.5, 1, 4)


def test_nothing_measured_has_no_median() -> None:
    with pytest.raises(ValueError, match="no round"):
        spread([])


@pytest.mark.parametrize(
    ("share", "expected"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.001, 1), (0.07, 7)]
)
def test_a_percentile_is_the_smallest_figure_that_the_share_does_not_exceed(
    share: float, expected: float
) -> None:
    assert percentile([float(n) for n in range(100, 0, -1)], share) == expected


def test_a_percentile_of_few_figures_is_one_of_them() -> None:
    assert percentile([3.0, 9.0, 5.0], 0.99) == 9.0


def test_a_ratio_is_that_of_the_medians_and_not_the_median_of_the_ratios() -> None:
    found = Comparison(series(10, 20, 60), series(5, 4, 20)).ratio
    assert found.median == 20 / 5


def test_a_ratio_spreads_over_the_ratios_of_rounds_that_were_played_together() -> None:
    found = Comparison(series(10, 20, 60), series(5, 4, 20)).ratio
    assert (found.lowest, found.highest) == (2, 5)


def test_a_ratio_lies_within_its_own_spread_also_when_the_medians_are_of_other_rounds() -> None:
    found = Comparison(series(1, 10, 100), series(100, 1, 10)).ratio
    assert found.lowest <= found.median <= found.highest
    # Each round's own ratio is 0.01 or 10; the medians' is 1.
    assert found.median == 1


def test_the_baselines_missing_rounds_are_left_out_of_the_spread() -> None:
    found = Comparison(series(10, 20), series(10)).ratio
    assert (found.median, found.lowest, found.highest) == (1.5, 1, 1.5)


@pytest.mark.parametrize(("ratio", "met"), [(14.99, False), (15.0, True), (15.01, True)])
def test_a_speedup_is_met_from_its_bound_on(ratio: float, met: bool) -> None:
    assert Comparison(series(ratio), series(1), at_least(15)).met is met


@pytest.mark.parametrize(("ratio", "met"), [(1.19, True), (1.2, True), (1.21, False)])
def test_a_cost_is_met_up_to_its_bound(ratio: float, met: bool) -> None:
    assert Comparison(series(ratio), series(1), at_most(1.2)).met is met


def test_a_comparison_without_a_target_is_neither_met_nor_missed() -> None:
    assert Comparison(series(1), series(1)).met is None
