"""What a result says of a pair, or of somebody left out, in plain words.

Each hears what they may know. A manager hears all. A participant hears neither points nor the
score, from which what is kept from them could be reckoned back: levels and waiting times. Neither
side hears who else was possible, nor that anybody was blocked or declined.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from services.matching.domain.bottlenecks import Bottleneck
from services.matching.domain.changes import Change, Kind, Remedy
from services.matching.domain.explanation import TAKEN, Unmatched
from services.matching.domain.people import Role
from services.matching.domain.result import Alternative
from services.matching.domain.scoring import Contribution, Fit

Audience: TypeAlias = Literal["mentor", "mentee", "manager"]

_FACTORS = {
    "wants_covered": "What the mentee wants to learn",
    "shared_interests": "Shared interests",
    "distance": "Distance in the organisation",
    "mentor_wants_covered": "What the mentor wants to learn",
    "time_overlap": "Common working time",
    "waiting_time": "Waiting time",
    "level_gap": "Levels",
}
_NOT_FOR_PARTICIPANTS = {"waiting_time", "level_gap"}
_OWN_WORDS = {
    "mentor": {"the mentor wants": "you want", "the mentor named": "you named"},
    "mentee": {"the mentee wants": "you want", "the mentee named": "you named"},
}
_STRONG, _FAIR = 2 / 3, 1 / 3

_RULES = {
    "not_ready": "not ready: enrolment, consent or training is missing, or they take a break",
    "not_active": "not possible: one of the two is not in active employment now",
    "leaving": "not possible: one of the two is known to leave before the programme ends",
    "repeated": "proposed or paired before",
    "blocked": "kept apart by a wish of either, or by the programme",
    "level_gap": "without the distance in level that the rules ask for",
    "chain_unknown": "not possible: the managers above one of the two are not known",
    "reporting_line": "in the same reporting line, or under the same manager",
    "same_department": "in the same department",
    "no_common_language": "without a common language",
    "time_overlap": "without enough common working time",
    "no_wanted_topic": "without a topic that one wants and the other offers",
    TAKEN: "possible, but taken by others",
}
_TOLD = {"same_department", "no_common_language", "time_overlap", "no_wanted_topic", TAKEN}
"""The other rules would tell a participant what somebody else did, or where they stand."""
_OF_ONESELF: set[Kind] = {"consent", "training", "break", "time", "topic", "language"}


def told_to(
    audience: Audience,
    fit: Fit,
    *,
    instead_for_mentee: Alternative | None = None,
    instead_for_mentor: Alternative | None = None,
) -> list[str]:
    """Why these two: a line for each factor, what adds most first.

    For the manager the points of all lines sum to the score, and the alternatives follow with what
    they would cost the programme.
    """
    parts = sorted(fit.breakdown, key=lambda part: -part.points)
    if audience != "manager":
        return [
            _in_own_words(audience, part)
            for part in parts
            if part.points and part.factor not in _NOT_FOR_PARTICIPANTS
        ]
    return [
        f"{fit.score:.4f} of 100 points:",
        *(
            f"{_name(part)}: {part.points:.4f} of {part.weight:g} points; {part.detail}"
            for part in parts
        ),
        _instead("mentee", instead_for_mentee),
        _instead("mentor", instead_for_mentor),
    ]


def _name(part: Contribution) -> str:
    return _FACTORS.get(part.factor, part.factor)


def _in_own_words(audience: Role, part: Contribution) -> str:
    detail = part.detail
    for words, own in _OWN_WORDS[audience].items():
        # The first place is ours; a topic might hold the same words.
        detail = detail.replace(words, own, 1)
    name = _name(part)
    for words, own in (
        (f"What the {audience} wants", "What you want"),
        ("What the mentor wants", "What your mentor wants"),
        ("What the mentee wants", "What your mentee wants"),
    ):
        name = name.replace(words, own)
    much = "strong" if part.value >= _STRONG else "fair" if part.value >= _FAIR else "weak"
    return f"{name}: a {much} point; {detail}"


def _instead(role: Role, other: Alternative | None) -> str:
    if other is None:
        return f"No other pair is possible for the {role}."
    cost = (
        "would leave somebody without a partner"
        if other.cost is None
        # The cost is a bound from below: none is no promise.
        else "may cost the programme nothing"
        if other.cost == 0
        else f"would cost the programme at least {other.cost:.4f} points"
    )
    return (
        f"Next best for the {role}: {other.participant_id}, {other.score:.4f} points; "
        f"choosing it {cost}."
    )


def left_out_told_to(
    audience: Audience,
    unmatched: Unmatched | None,
    remedy: Remedy | None,
    not_examined: Sequence[Kind] = (),
) -> list[str]:
    """Why somebody has no partner, and what would serve them; a participant is the person alone.

    `unmatched` is None for who is not ready, `remedy` where nothing is known.
    """
    lines = [] if unmatched is None else _reasons(audience, unmatched.reasons)
    if remedy is None:
        return lines
    changes = [each for each in remedy.changes if audience == "manager" or each.kind in _OF_ONESELF]
    lines += [in_words(each, remedy.role, audience) for each in changes]
    if not changes:
        # Said of oneself also where no change at all is known: others' are not theirs to hear of.
        which = "single change" if audience == "manager" else "change that you alone could make"
        lines.append(f"No {which} is known that would surely lead to a partner now.")
        if audience == "manager" and remedy.bottleneck is not None:
            lines.append(f"The nearest: {remedy.nearest} {_RULES[remedy.bottleneck]}.")
    if audience == "manager" and not_examined:
        lines.append(f"Changes not looked for: {', '.join(not_examined)}.")
    return lines


def _reasons(audience: Audience, reasons: Mapping[str, int]) -> list[str]:
    if audience == "manager":
        return [f"{count} {_RULES[rule]}" for rule, count in reasons.items()]
    told = [f"{count} {_RULES[rule]}" for rule, count in reasons.items() if rule in _TOLD]
    others = sum(count for rule, count in reasons.items() if rule not in _TOLD)
    if others:
        told.append(f"{others} not possible by other rules of the programme")
    return told


def in_words(change: Change, role: Role, audience: Audience = "manager") -> str:
    """A change as a sentence; `role` is that of the person whom it serves."""
    counterpart: Role = "mentor" if role == "mentee" else "mentee"
    others = counted(change.via, counterpart)
    who, whose = ("They", "their") if audience == "manager" else ("You", "your")
    end = f"would have a partner then, by way of {others}."
    match change.kind:
        case "consent":
            start = f"If {whose} consent were given"
        case "training":
            start = f"If {whose} training were done"
        case "break":
            start = f"If {whose} {'leave' if change.field == 'employment' else 'break'} were over"
        case "time":
            late = change.field == "works_until"
            start = (
                f"If {whose} working day "
                f"{'ended' if late else 'began'} {change.minutes} minutes "
                f"{'later' if late else 'earlier'}"
            )
        case "language":
            start = f"With {change.after} as one more of {whose} languages"
        case "topic":
            named = "want to learn" if change.field == "wants" else "can offer"
            start = f"If {who.lower()} said that {who.lower()} {named} {change.after} as well"
        case "seat":
            seats = counted(int(change.after or 0), "seat")
            start = (
                f"If {counterpart} {change.participant_id} had {seats} instead of {change.before}"
            )
            # "They" would be the counterpart.
            who = f"this {role}" if audience == "manager" else who
        case "department":
            start = "If the programme allowed pairs within one department, which is a rule for all"
        case "level":
            start = (
                f"If the programme's least level gap were {change.after} instead of "
                f"{change.before}, which is a rule for all"
            )
    return f"{start}, {who.lower()} {end}"


def bottleneck_in_words(short: Bottleneck) -> str:
    """What a programme is short of, as a sentence for its manager."""
    others = "mentors" if short.role == "mentee" else "mentees"
    one = short.people == 1
    verb, what = {
        "topic": ("want", short.name),
        "language": ("speak", f"{short.name or 'no language'} and nothing else"),
        "time": ("work", f"{short.name} UTC"),
        "seats": ("look", "for somebody"),
    }[short.kind]
    does, has = (f"{verb}s", "has") if one else (verb, "have")
    return (
        f"{counted(short.people, short.role)} {does} {what} and {has} "
        f"{counted(short.seats, 'seat')}; {others} who suit them in this have {short.offered}. "
        f"{_left_out(short)}."
    )


def _left_out(short: Bottleneck) -> str:
    if short.left_out == 0:
        return "Nobody of them is left out"
    if short.left_out == short.people:
        return "They are left out" if short.people == 1 else "All of them are left out"
    return f"{short.left_out} of them {'is' if short.left_out == 1 else 'are'} left out"


def counted(count: int, one: str) -> str:
    """A number of things, which are more than one but for 1."""
    return f"{count} {one}{'' if count == 1 else 's'}"
