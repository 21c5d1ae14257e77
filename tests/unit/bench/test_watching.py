from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from tests.bench.watching import Arrivals, Changes


def kpi(counted: int, **other: Any) -> SimpleNamespace:
    value = {
        "programme_id": "p",
        "kpi": "hr_event_lag_p95",
        "period": {"kind": "programme"},
        "denominator": counted,
    } | other
    return SimpleNamespace(topic="updraft.metrics", key=b"k", value=json.dumps(value).encode())


def test_a_change_is_measured_by_the_first_record_that_counts_it() -> None:
    changes = Changes("p")
    for moment, counted in ((1.0, 3), (4.0, 7), (9.0, 8)):
        changes.take(kpi(counted), moment)
    assert [changes.moment_of(n) for n in (1, 3, 4, 7, 8)] == [1, 1, 4, 4, 9]
    assert changes.counted == 8
    with pytest.raises(ValueError, match="change 9 was never measured"):
        changes.moment_of(9)


def test_other_kpis_programmes_and_months_do_not_count() -> None:
    changes = Changes("p")
    changes.take(kpi(1, programme_id="q"), 1.0)
    changes.take(kpi(1, kpi="match_rate"), 1.0)
    changes.take(kpi(1, period={"kind": "month"}), 1.0)
    changes.take(SimpleNamespace(topic="updraft.metrics", key=b"k", value=None), 1.0)
    assert changes.counted == 0


def test_of_a_key_the_first_arrival_on_the_topic_counts() -> None:
    arrivals = Arrivals("a")
    for topic, moment in (("b", 1.0), ("a", 2.0), ("a", 3.0)):
        arrivals.take(SimpleNamespace(topic=topic, key=b"k"), moment)
    assert arrivals.moments == {"k": 2.0}
