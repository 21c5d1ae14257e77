"""Who has a partner by department and level, told so that nobody can be singled out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from services.matching.domain.instance import Instance
from services.matching.domain.people import Person
from services.matching.domain.result import Match

Groups: TypeAlias = dict[str, list[int]]
"""Group → people who are ready or paired, and those of them who have a partner."""
Coverage: TypeAlias = dict[str, dict[str, Groups]]
"""`department` or `level` → `mentors` or `mentees` → groups."""

OTHERS = ""
"""Small groups together: a name that no department has."""
UNKNOWN = "unknown"


def coverage(given: Instance, matches: Iterable[Match]) -> Coverage:
    """Counts of all groups, whatever their size: not to be shown as they are."""
    served = {i for match in matches for i in (match.mentor_id, match.mentee_id)}
    sides = {"mentors": given.mentors, "mentees": given.mentees}
    return {
        "department": {side: _groups(people, "department", served, given) for side, people in
                       sides.items()},
        "level": {side: _groups(people, "level", served, given) for side, people in sides.items()},
    }  # fmt: skip


def _groups(
    people: Iterable[Person], attribute: str, served: Iterable[object], given: Instance
) -> Groups:
    groups: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    matched = set(served)
    for person in people:
        if not person.ready(given.programme):
            continue
        value = getattr(person, attribute)
        counts = groups[UNKNOWN if value is None else str(value)]
        counts[0] += 1
        counts[1] += person.taken > 0 or person.participant_id in matched
    return dict(sorted(groups.items()))


def shown(groups: Mapping[str, list[int]], least: int) -> Groups:
    """Groups of fewer than `least` people are told together as `OTHERS`.

    Where that is still too few, the smallest of the others joins them: else the total would give
    them away.
    """
    by_size = sorted(groups.items(), key=lambda item: (item[1][0], item[0]))
    told: Groups = {}
    together = [0, 0]
    for name, (people, paired) in by_size:
        if people < least or 0 < together[0] < least:
            together = [together[0] + people, together[1] + paired]
        else:
            told[name] = [people, paired]
    if together[0] >= least:
        told[OTHERS] = together
    return dict(sorted(told.items()))
