"""A company as an instance for us and, ready-made, as scores for the others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from deploy.matching.company import instance_of
from services.matching.domain.instance import Instance, canonical
from services.matching.domain.matrix import ADMISSIBLE, matrix
from tests.bench.peers.stopwatch import contend

_ROWS_AT_ONCE = 500


def prepare(task: dict[str, Any]) -> dict[str, Any]:
    """Write the instance and, if asked, the scores of those who have any pair at all."""
    given = instance_of(
        mentors=task["mentors"],
        mentees=task["mentees"],
        seed=task["seed"],
        hardened=task.get("hardened", False),
        single_seats=task["single_seats"],
    )
    Path(task["instance"]).write_bytes(canonical(given))
    if not task.get("worth"):
        return {"people": len(given.mentors) + len(given.mentees)}
    worth = _worth(given)
    rows, columns = np.flatnonzero((worth >= 0).any(1)), np.flatnonzero((worth >= 0).any(0))
    worth = worth[np.ix_(rows, columns)]
    worth.tofile(task["worth"])
    mentees = [given.mentees[row] for row in rows]
    waited = sorted(
        range(len(mentees)), key=lambda n: (str(mentees[n].waiting_since), mentees[n].employee_id)
    )
    return {
        "rows": len(rows),
        "columns": len(columns),
        "mentees": [str(mentee.participant_id) for mentee in mentees],
        "mentors": [str(given.mentors[column].participant_id) for column in columns],
        "by waiting": waited,
        "coverable": int(np.count_nonzero(maximum_bipartite_matching(csr_array(worth >= 0)) >= 0)),
    }


def _worth(given: Instance) -> NDArray[np.int32]:
    worth = np.empty((len(given.mentees), len(given.mentors)), np.int32)
    for start in range(0, len(worth), _ROWS_AT_ONCE):
        some = slice(start, start + _ROWS_AT_ONCE)
        judged = matrix(replace(given, mentees=given.mentees[some]))
        worth[some] = np.where(judged.excluded_by == ADMISSIBLE, judged.units, -1)
    return worth


if __name__ == "__main__":
    contend(prepare)
