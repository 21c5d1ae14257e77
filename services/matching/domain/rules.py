"""Hard rules: who must not be paired with whom (source: PRODUCT, matching rules).

The order is the order of explanation: a counterpart is counted under the first rule that
excludes it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TypeAlias

from services.matching.domain.hours import overlap_minutes
from services.matching.domain.people import Person, Programme

Breaks: TypeAlias = Callable[[Person, Person, Programme], bool]


def not_ready(mentor: Person, mentee: Person, programme: Programme) -> bool:
    """Either has not enrolled, consented or trained, or takes a break."""
    return not (mentor.ready(programme) and mentee.ready(programme))


def not_active(mentor: Person, mentee: Person, _: Programme) -> bool:
    """Either is not an active employee, as far as HR told us."""
    return not (mentor.employed and mentee.employed)


def leaving(mentor: Person, mentee: Person, programme: Programme) -> bool:
    """Either is known to leave before the programme's end."""
    return any(
        person.leaves_on is not None and person.leaves_on < programme.ends_on
        for person in (mentor, mentee)
    )


def repeated(mentor: Person, mentee: Person, _: Programme) -> bool:
    """The two were proposed or paired before, whatever became of it."""
    return mentee.employee_id in mentor.met or mentor.employee_id in mentee.met


def blocked(mentor: Person, mentee: Person, _: Programme) -> bool:
    """Either asked never to be paired with the other."""
    return mentee.employee_id in mentor.blocks or mentor.employee_id in mentee.blocks


def level_gap(mentor: Person, mentee: Person, programme: Programme) -> bool:
    """The mentor is not junior enough to the mentee."""
    if mentor.level is None or mentee.level is None:
        return True
    return mentee.level - mentor.level < programme.min_level_gap


def chain_unknown(mentor: Person, mentee: Person, _: Programme) -> bool:
    """Somebody above either is not known, so a reporting line cannot be excluded."""
    return not (mentor.chain_known and mentee.chain_known)


def reporting_line(mentor: Person, mentee: Person, _: Programme) -> bool:
    """One is above the other at any depth, or both have the same direct manager."""
    return (
        mentor.employee_id == mentee.employee_id
        or mentee.employee_id in mentor.managers
        or mentor.employee_id in mentee.managers
        or not mentor.direct_managers.isdisjoint(mentee.direct_managers)
    )


def same_department(mentor: Person, mentee: Person, programme: Programme) -> bool:
    """Both work in one department, where the programme crosses departments."""
    return programme.different_department and mentor.department == mentee.department


def no_common_language(mentor: Person, mentee: Person, _: Programme) -> bool:
    """They have no language to talk in."""
    return mentor.languages.isdisjoint(mentee.languages)


def time_overlap(mentor: Person, mentee: Person, programme: Programme) -> bool:
    """Their working hours share too little time."""
    return common_minutes(mentor, mentee) < programme.min_overlap_minutes


def no_wanted_topic(mentor: Person, mentee: Person, _: Programme) -> bool:
    """The mentor offers nothing that the mentee wants to learn, nor anything near to it."""
    return mentor.offers.keys().isdisjoint(mentee.wants) and mentor.near.keys().isdisjoint(
        mentee.wants
    )


def capacity(mentor: Person, mentee: Person, _: Programme) -> bool:
    """Either has no seat left."""
    return mentor.free_seats == 0 or mentee.free_seats == 0


def common_minutes(mentor: Person, mentee: Person) -> int:
    """Minutes of a weekday in which both work."""
    return overlap_minutes(
        (mentor.works_from, mentor.works_until), (mentee.works_from, mentee.works_until)
    )


RULES: dict[str, Breaks] = {
    "not_ready": not_ready,
    "not_active": not_active,
    "leaving": leaving,
    "repeated": repeated,
    "blocked": blocked,
    "level_gap": level_gap,
    "chain_unknown": chain_unknown,
    "reporting_line": reporting_line,
    "same_department": same_department,
    "no_common_language": no_common_language,
    "time_overlap": time_overlap,
    "no_wanted_topic": no_wanted_topic,
    "capacity": capacity,
}
"""Every hard rule by its name, in the order of explanation."""

OF_THE_PAIR_ITSELF = frozenset({"repeated", "capacity"})
"""Rules that a living pair seems to break by being there."""


def broken_rule(
    mentor: Person, mentee: Person, programme: Programme, *, but: Collection[str] = ()
) -> str | None:
    """The first rule that keeps these two apart; None when they may be paired."""
    for name, breaks in RULES.items():
        if name not in but and breaks(mentor, mentee, programme):
            return name
    return None
