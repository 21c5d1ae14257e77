from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from deploy.local.process import StackError
from tests.bench.matching_cases import Case, Company, Outcome, compared

_COMPANY = Company(3, 2)
_WORTH = [[500_000, 300_000, -1], [400_000, -1, -1]]


@pytest.fixture
def case(tmp_path: Path) -> Case:
    np.array(_WORTH, np.int32).tofile(tmp_path / "worth")
    ids = {"mentees": {"a": 0, "b": 1}, "mentors": {"x": 0, "y": 1, "z": 2}}
    task = {"worth": str(tmp_path / "worth"), "rows": 2, "columns": 3}
    return Case(_COMPANY, tmp_path, task, ids, coverable=2)


def judged(case: Case, *rounds: dict[str, object]) -> Outcome:
    outcome = Outcome("somebody", _COMPANY)
    for answer in rounds:
        outcome.add({"cpu_seconds": 1.0, "peak_mb": 50.0, **answer}, case, 60.0)
    return outcome


def test_pairs_are_judged_by_the_scores_whoever_found_them(case: Case) -> None:
    greedy = judged(case, {"seconds": 1.0, "pairs": [[0, 0]]})
    assert (greedy.left_out, greedy.total, greedy.worst) == (1, 50.0, 50.0)
    best = judged(case, {"seconds": 1.0, "pairs by id": [["a", "y"], ["b", "x"]]})
    assert (best.left_out, best.total, best.worst) == (0, 70.0, 30.0)


@pytest.mark.parametrize("pairs", [[[1, 1]], [[0, 0], [1, 0]], [[0, 0], [0, 1]]])
def test_who_forms_a_pair_that_is_not_allowed_is_not_ranked(
    case: Case, pairs: list[list[int]]
) -> None:
    with pytest.raises(StackError, match="excludes"):
        judged(case, {"seconds": 1.0, "pairs": pairs})


def test_the_table_tells_the_middle_round_and_who_took_too_long(case: Case) -> None:
    some = [{"seconds": each, "pairs": [[0, 0]]} for each in (3.0, 1.0, 2.0)]
    late = judged(case, {})
    lines = compared([judged(case, *some), late]).splitlines()
    assert "3 × 2" in lines[2]
    assert lines[2].split()[4:] == ["2.00", "1.00", "50", "1", "(50.0%)", "50.0000", "50.00"]
    assert lines[3].endswith("more than 60")
