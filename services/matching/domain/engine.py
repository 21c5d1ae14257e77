"""A matching run from input to result: judge and score all pairs, assign, explain.

Needs numpy and the flow solver, so only workers import it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from services.matching.domain.assignment import Edges, Seats, assign, seats
from services.matching.domain.explanation import Unmatched, reasons_by_number
from services.matching.domain.instance import Instance
from services.matching.domain.matrix import ADMISSIBLE, Matrix, matrix
from services.matching.domain.people import Person
from services.matching.domain.result import Match, Result
from services.matching.domain.rules import RULES
from services.matching.domain.scoring import UNITS_PER_POINT, fit


def solve(given: Instance) -> Result:
    """The best pairs of an instance, best score first, and why the others were left out."""
    judged = matrix(given)
    rows, columns = np.nonzero(judged.excluded_by == ADMISSIBLE)
    edges = Edges(rows, columns, judged.units[rows, columns].astype(np.int64))
    chosen = assign(edges, _seats(given.mentees), _seats(given.mentors))
    row, column = rows[chosen], columns[chosen]
    matches = [_match(given, int(r), int(c)) for r, c in zip(row, column, strict=True)]
    matches.sort(key=lambda match: (-match.fit.score, match.mentor_id, match.mentee_id))
    return Result(
        matches=tuple(matches),
        unmatched=(
            *_left_out(given, judged, row, rows=True),
            *_left_out(given, judged, column, rows=False),
        ),
        objective=int(judged.units[row, column].sum()) / UNITS_PER_POINT,
    )


def _seats(people: Sequence[Person]) -> Seats:
    return seats(
        [person.free_seats for person in people],
        [person.taken > 0 for person in people],
        [person.orphaned for person in people],
    )


def _match(given: Instance, row: int, column: int) -> Match:
    mentor, mentee = given.mentors[column], given.mentees[row]
    return Match(
        mentor.participant_id,
        mentee.participant_id,
        fit(mentor, mentee, given.programme, given.now),
    )


def _left_out(
    given: Instance, judged: Matrix, chosen: NDArray[np.int64], *, rows: bool
) -> list[Unmatched]:
    people = given.mentees if rows else given.mentors
    by_person = judged.excluded_by if rows else judged.excluded_by.T
    served = set(chosen.tolist())
    return [
        Unmatched(
            person.participant_id,
            person.role,
            reasons_by_number(
                cast("list[int]", np.bincount(by_person[place], minlength=len(RULES) + 1).tolist())
            ),
        )
        for place, person in enumerate(people)
        if place not in served and person.waits(given.programme)
    ]
