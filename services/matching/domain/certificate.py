"""What a result claims of itself, worked out from its pairs and what is proven of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from uuid import UUID

from services.matching.domain.instance import Instance
from services.matching.domain.market import Proof
from services.matching.domain.people import Person
from services.matching.domain.result import Certificate
from services.matching.domain.scoring import UNITS_PER_POINT


def certificate(
    given: Instance,
    pairs: Sequence[tuple[UUID, UUID, float]],
    locked: Collection[tuple[UUID, UUID]],
    proven: Proof,
) -> Certificate:
    """The certificate of pairs (mentor, mentee, score), of which `proven` knows the unlocked ones.

    How the search went is not part of it: it claims nothing that is not proven.
    """
    scores = [round(score * UNITS_PER_POINT) for _, _, score in pairs]
    firm = sum(
        units
        for (mentor_id, mentee_id, _), units in zip(pairs, scores, strict=True)
        if (mentor_id, mentee_id) in locked
    )
    covered = _newly(given.mentees, [mentee_id for _, mentee_id, _ in pairs])
    covered_mentors = _newly(given.mentors, [mentor_id for mentor_id, _, _ in pairs])
    return Certificate(
        objective=(proven.objective + firm) / UNITS_PER_POINT,
        bound=(proven.bound + firm) / UNITS_PER_POINT,
        gap=proven.gap,
        covered=covered,
        coverable=min(len(given.mentees), covered + proven.unproven),
        covered_mentors=covered_mentors,
        coverable_mentors=min(len(given.mentors), covered_mentors + proven.unproven),
        pairs=len(pairs),
        total_score=sum(scores) / UNITS_PER_POINT,
        worst_score=min(scores) / UNITS_PER_POINT if scores else None,
        rules_version=given.programme.version,
        input_hash=given.input_hash,
    )


def _newly(people: Sequence[Person], matched: Iterable[UUID]) -> int:
    served = set(matched)
    return sum(person.taken == 0 and person.participant_id in served for person in people)
