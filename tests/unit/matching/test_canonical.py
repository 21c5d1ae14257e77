from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

import pytest

from services.matching.domain.instance import canonical, from_canonical, instance
from tests.unit.matching.company import NOW, crowd, person, programme


def peak_bytes(work: Callable[[], object]) -> int:
    """The most memory that was taken at once beyond what was taken before."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_the_text_of_an_input_is_what_it_was_when_earlier_runs_were_kept() -> None:
    case = crowd(7, 12, 9)
    case = replace(case, locked=((case.mentors[0].participant_id, UUID(int=7)),))
    assert case.input_hash == ("e6ccfa5e574dbd7c57be78142c697d625f28848add4a79d3e7008fdb138277ff")
    assert sha256(canonical(case)).hexdigest() == case.input_hash


def test_an_input_of_nobody_has_a_text_too() -> None:
    nobody = instance(programme(), [], NOW)
    assert json.loads(canonical(nobody))["mentees"] == []
    assert from_canonical(canonical(nobody)) == nobody


def test_what_people_have_in_common_is_in_memory_once_when_they_are_read() -> None:
    people = [
        person(
            "mentor",
            number,
            works_from=500,
            waiting_since=NOW,
            interests=frozenset({"chess", "hiking"}),
            offers={"ai": 1, "word processing": 2},
            offered_as={"ai": "prompt writing"},
        )
        for number in range(2)
    ]
    one, other = from_canonical(canonical(instance(programme(), people, NOW))).mentors
    for name in ("department", "managers", "interests", "works_from", "waiting_since"):
        assert getattr(one, name) is getattr(other, name), name
    assert one.offered_as["ai"] is other.offered_as["ai"]
    assert [id(topic) for topic in one.offers] == [id(topic) for topic in other.offers]


def test_people_are_read_and_hashed_without_everybodys_plain_values_in_memory() -> None:
    case = crowd(3, 400, 400)
    text = canonical(case)
    assert peak_bytes(lambda: case.input_hash) < len(text) / 4
    assert peak_bytes(lambda: canonical(case)) < 2 * len(text)
    plain = peak_bytes(lambda: json.loads(text))
    assert peak_bytes(lambda: from_canonical(text)) < plain * 3 / 4


def _without_nearness(document: dict[str, Any]) -> None:
    del document["mentors"][0]["near"]


def _with_a_shoe_size(document: dict[str, Any]) -> None:
    document["mentees"][0]["shoe_size"] = 43


@pytest.mark.parametrize("change", [_without_nearness, _with_a_shoe_size])
def test_people_with_other_fields_are_not_read(change: Callable[[dict[str, Any]], None]) -> None:
    document = json.loads(canonical(crowd(1, 2, 2)))
    change(document)
    with pytest.raises(ValueError, match="a person has other fields than the canonical form"):
        from_canonical(json.dumps(document).encode())


def test_the_text_is_written_once_for_both_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    case = crowd(7, 12, 9)
    beginning = replace(case, now=datetime(1, 1, 1, tzinfo=UTC)).input_hash
    assert case.state_hash == beginning

    def written(_: object) -> None:
        raise AssertionError("the text is written anew")

    monkeypatch.setattr("services.matching.domain.instance._parts", written)
    assert case.input_hash != beginning
