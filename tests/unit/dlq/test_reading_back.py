"""What a replay may read, in which turns; and dead letters as `updraft read` shows them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition

from deploy.databases import databases
from deploy.local.process import StackError
from deploy.reading import as_json
from deploy.replay.command import _refuse_gaps
from deploy.replay.history import History
from deploy.replay.rebuild import _turns
from services.metrics.store import PROJECTIONS
from shared.envelope import Record
from shared.settings import KafkaSettings


def history(begins: dict[str, int]) -> History:
    offsets = {TopicPartition(topic, 0): offset for topic, offset in begins.items()}
    return History(KafkaSettings(), "metrics", None, offsets, dict(offsets))


def test_topics_that_forgot_their_beginning_are_refused_and_the_rest_named() -> None:
    begins = {"updraft.answers": 7, "updraft.sessions": 0, "updraft.employees": 9}
    chosen = [each for each in PROJECTIONS.tables if each.topic in begins]

    with pytest.raises(StackError) as refused:
        _refuse_gaps(history(begins), chosen)

    text = str(refused.value)
    assert "first records of updraft.answers are gone" in text
    # A compacted topic begins where it likes: it still has the newest of each key.
    assert text.endswith("--projection employee_states --projection sessions")
    _refuse_gaps(history(begins | {"updraft.answers": 0}), chosen)


def test_no_key_comes_twice_in_a_turn_and_each_keeps_its_order() -> None:
    records = [
        Record("t", 0, offset, key, b"", ())
        for offset, key in enumerate([b"a", b"b", b"a", b"a", b"c", b"b"])
    ]

    turns = _turns(records)

    assert [[record.offset for record in turn] for turn in turns] == [[0, 1, 4], [2, 5], [3]]


def test_a_dead_letter_says_why_it_is_one() -> None:
    def shown(*headers: tuple[str, bytes]) -> Any:
        record = SimpleNamespace(key=b"a", value=b"{}", partition=0, offset=1, headers=headers)
        return as_json(record)

    told = shown(("updraft-reason", b"na%C3%AFve: wrong; correct it"), ("updraft-kind", b"failed"))
    assert told["parked"] == {"reason": "naïve: wrong; correct it", "kind": "failed"}
    assert "parked" not in shown(("ce_type", b"x"))


def test_a_dsn_in_the_environment_names_the_database_and_none_asks_for_a_stack(
    tmp_path: Any,
) -> None:
    environment = {"UPDRAFT_METRICS__DSN": "postgresql://somewhere/updraft"}
    assert list(databases(tmp_path, environment=environment).dsns) == ["metrics"]
    with pytest.raises(StackError, match="set UPDRAFT_MATCHING__DSN"):
        databases(tmp_path, ["metrics", "matching"], environment=environment)
