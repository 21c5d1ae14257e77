"""PyPI `mentor-match`: the Hungarian method in Python over a matrix of its own rule objects.

It scores a pair that is not allowed 0 and drops it afterwards, so each allowed pair is handed a
bonus that outweighs all scores: with it, it serves as many people as can be served.
"""

# mypy: disable-error-code="import-not-found"
from __future__ import annotations

from typing import Any

from matching.mentee import Mentee
from matching.mentor import Mentor
from matching.process import process_data
from matching.rules.rule import Rule
from stopwatch import Stopwatch, contend, worth


class _ReadyMade(Rule):
    """Looks a score up."""

    def __init__(self, scores: list[Any], bonus: int) -> None:
        super().__init__()
        self._scores, self._bonus = scores, bonus

    def apply(self, match_object: Any) -> int:
        units: int = self._scores[match_object.mentee.grade][match_object.mentor.grade]
        match_object.disallowed = units < 0
        return units + self._bonus


def pair(task: dict[str, Any]) -> dict[str, Any]:
    """Match everybody by its main entry point."""
    scores = worth(task)
    # A person has a number there that the library asks nothing of.
    mentors = [Mentor(grade=n, email=f"mentor-{n}") for n in range(task["columns"])]
    mentees = [Mentee(grade=n, email=f"mentee-{n}") for n in range(task["rows"])]
    watch = Stopwatch()
    process_data(mentors, mentees, [[_ReadyMade(scores, task["bonus"])]])
    spent = watch.read()
    pairs = [[mentee.grade, mentor.grade] for mentor in mentors for mentee in mentor.mentees]
    return spent | {"pairs": pairs}


if __name__ == "__main__":
    contend(pair)
