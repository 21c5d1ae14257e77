from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.metrics.domain.statistics import percentile, stratified_difference, wilson_interval


def test_percentiles_interpolate_like_postgres():
    assert percentile(Counter([4, 1, 3, 2]), 0.5) == 2.5
    assert percentile(Counter([1, 2, 3, 4, 5]), 0.9) == pytest.approx(4.6)
    assert percentile(Counter([7]), 0.95) == 7


@settings(deadline=None)
@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_holds_the_share(counts):
    successes, n = counts
    low, high = wilson_interval(successes, n)
    assert 0 <= low <= successes / n + 1e-12
    assert successes / n - 1e-12 <= high <= 1


def test_one_stratum_is_the_plain_difference():
    value, low, high = stratified_difference([(8, 10, 10, 20)])
    assert value == pytest.approx(0.3)
    # Greenland & Robins for one stratum: p(1-p)/n of each side, added.
    spread = 1.959963984540054 * (0.8 * 0.2 / 10 + 0.5 * 0.5 / 20) ** 0.5
    assert (low, high) == (pytest.approx(0.3 - spread), pytest.approx(0.3 + spread))


def test_strata_without_both_groups_compare_nothing():
    assert stratified_difference([(3, 4, 0, 0), (0, 0, 5, 9)]) is None
    assert stratified_difference([(8, 10, 10, 20), (1, 1, 0, 0)]) == stratified_difference(
        [(8, 10, 10, 20)]
    )


def test_opposite_mixes_do_not_pretend_a_difference():
    # Juniors leave more and join more: raw rates differ, rates within each level do not.
    value, _, _ = stratified_difference([(40, 80, 5, 10), (9, 10, 72, 80)])
    assert value == pytest.approx(0)
