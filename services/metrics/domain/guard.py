"""An own check that no living pair breaks a hard rule; shares no code with who decides pairs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from services.metrics.domain.facts import ROLES, EmployeeRow, PairRow, ParticipantRow

LIVING = ("active", "paused")


def direct_superiors(employee_id: str, employees: Mapping[str, EmployeeRow]) -> frozenset[str]:
    """Whom a person reports to, by line or dotted line."""
    known = employees.get(employee_id)
    if known is None:
        return frozenset()
    line = [known.manager_id] if known.manager_id else []
    return frozenset([*line, *known.dotted_line_manager_ids])


def superiors(employee_id: str, employees: Mapping[str, EmployeeRow]) -> frozenset[str]:
    """Everyone above a person, by line or dotted line, at any depth; ends on cycles."""
    found: set[str] = set()
    ahead = [employee_id]
    while ahead:
        above = direct_superiors(ahead.pop(), employees) - found
        ahead.extend(above)
        found |= above
    return frozenset(found)


def in_one_line(a: str, b: str, employees: Mapping[str, EmployeeRow]) -> bool:
    """Whether one is above the other, or both report to the same manager."""
    if a in superiors(b, employees) or b in superiors(a, employees):
        return True
    return not direct_superiors(a, employees).isdisjoint(direct_superiors(b, employees))


def open_violations(
    pairs: list[PairRow],
    participants: list[ParticipantRow],
    employees: Mapping[str, EmployeeRow],
) -> dict[PairRow, str]:
    """The living pairs that break a rule now, each with the first rule that it breaks."""
    living = [pair for pair in pairs if pair.status in LIVING]
    by_id = {one.participant_id: one for one in participants}
    load = Counter(one for pair in living for one in (pair.mentor_id, pair.mentee_id))
    broken = {}
    for pair in living:
        rule = _broken_rule(pair, by_id.get(pair.mentor_id), by_id.get(pair.mentee_id), employees)
        over = (
            one.capacity < load[one.participant_id]
            for one in map(by_id.get, (pair.mentor_id, pair.mentee_id))
            if one
        )
        if rule is None and any(over):
            rule = "over_capacity"
        if rule:
            broken[pair] = rule
    return broken


def _broken_rule(
    pair: PairRow,
    mentor: ParticipantRow | None,
    mentee: ParticipantRow | None,
    employees: Mapping[str, EmployeeRow],
) -> str | None:
    people = [employees.get(pair.employee(role)) for role in ROLES]
    if any(person and person.status == "left" for person in people):
        return "leaver"
    if in_one_line(pair.mentor_employee_id, pair.mentee_employee_id, employees):
        return "reporting_line"
    junior, senior = people
    if junior and senior and junior.job_level >= senior.job_level:
        return "level_gap"
    if mentor is None or mentee is None:
        return None
    if "withdrawn" in (mentor.status, mentee.status):
        return "withdrawn"
    if mentor.employee_id in mentee.blocks or mentee.employee_id in mentor.blocks:
        return "blocked"
    if not set(mentor.languages) & set(mentee.languages):
        return "no_common_language"
    return None
