"""PyPI `matching`: stable matching of mentees and mentors who rank each other by the scores."""

# mypy: disable-error-code="import-not-found"
from __future__ import annotations

import sys
from typing import Any

from matching.games import HospitalResident
from stopwatch import Stopwatch, contend, worth


def pair(task: dict[str, Any]) -> dict[str, Any]:
    """Make the game of ready-made rankings and solve it."""
    # It copies its players with all whom they rank, and those with all whom they rank.
    sys.setrecursionlimit(10**6)
    scores = worth(task)
    rows, columns = range(task["rows"]), range(task["columns"])
    mentees = {
        f"mentee-{row}": [
            f"mentor-{column}"
            for column in sorted(columns, key=scores[row].__getitem__, reverse=True)
            if scores[row][column] >= 0
        ]
        for row in rows
    }
    mentors = {
        f"mentor-{column}": [
            f"mentee-{row}"
            for row in sorted(rows, key=lambda row: scores[row][column], reverse=True)
            if scores[row][column] >= 0
        ]
        for column in columns
    }
    watch = Stopwatch()
    game = HospitalResident.create_from_dictionaries(mentees, mentors, dict.fromkeys(mentors, 1))
    solved = game.solve()
    spent = watch.read()
    pairs = [
        [_number(mentee), _number(mentor)] for mentor, some in solved.items() for mentee in some
    ]
    return spent | {"pairs": pairs}


def _number(player: Any) -> int:
    return int(str(player.name).partition("-")[2])


if __name__ == "__main__":
    contend(pair)
