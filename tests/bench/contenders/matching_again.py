"""A company that is paired already, and somebody leaves."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

from services.matching.domain.instance import Instance, from_canonical
from services.matching.domain.people import Person
from tests.bench.contenders.matching_ours import EXPLAINING, solved, warm_up
from tests.bench.peers.stopwatch import contend, peak_mb

Pairs = list[tuple[UUID, UUID]]
"""Mentee and mentor."""


def pair(task: dict[str, Any]) -> dict[str, Any]:
    """Let somebody leave in the way that the task names."""
    given = from_canonical(Path(task["instance"]).read_bytes())
    pairs = [(UUID(one), UUID(other)) for one, other in json.loads(Path(task["pairs"]).read_text())]
    leavers = set(Random(1).sample(sorted({mentor for _, mentor in pairs}), task["leavers"]))
    warm_up()
    if task["keep"]:
        given = _without(_living(given, pairs, leavers), leavers)
    else:
        given = _anew(_without(given, leavers), pairs, task["stickiness"])
    result, recorder = solved(given, task["gap"])
    now = {(match.mentee_id, match.mentor_id) for match in result.matches}
    return recorder.until("end") | {
        "until the proof": recorder.until(EXPLAINING),
        "peak_mb": peak_mb(),
        "stages": recorder.spent(),
        "gaps": recorder.gaps,
        "formed": len(now),
        "certificate gap": result.certificate.gap,
        "total": result.certificate.total_score,
        # Of those whose mentor is still there; whoever keeps their pair is not paired anew.
        "changed": 0
        if task["keep"]
        else sum(each not in now and each[1] not in leavers for each in pairs),
        "pairs": len(pairs),
    }


def _living(given: Instance, pairs: Pairs, leavers: set[UUID]) -> Instance:
    """Everybody keeps the seats of their living pairs; whose mentor leaves is to be served."""
    partners: dict[UUID, list[UUID]] = {}
    lost: dict[UUID, int] = {}
    for mentee, mentor in pairs:
        partners.setdefault(mentee, []).append(mentor)
        partners.setdefault(mentor, []).append(mentee)
        lost[mentee] = lost.get(mentee, 0) + (mentor in leavers)
    name = {each.participant_id: each.employee_id for each in (*given.mentors, *given.mentees)}

    def seated(person: Person) -> Person:
        met = partners.get(person.participant_id, [])
        gone = lost.get(person.participant_id, 0)
        taken = len(met) - gone
        return replace(
            person,
            taken=taken,
            met=person.met | {name[other] for other in met},
            orphaned=person.orphaned or (gone > 0 and taken == 0),
        )

    return replace(
        given,
        mentors=tuple(map(seated, given.mentors)),
        mentees=tuple(map(seated, given.mentees)),
    )


def _without(given: Instance, leavers: set[UUID]) -> Instance:
    return replace(
        given, mentors=tuple(one for one in given.mentors if one.participant_id not in leavers)
    )


def _anew(given: Instance, pairs: Pairs, stickiness: float) -> Instance:
    """All is open again; so many points speak for what was."""
    here = {one.participant_id for one in given.mentors}
    return replace(
        given,
        programme=replace(given.programme, stickiness=stickiness),
        previous=tuple(sorted((mentor, mentee) for mentee, mentor in pairs if mentor in here)),
    )


if __name__ == "__main__":
    contend(pair)
