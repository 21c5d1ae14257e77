"""What a run found as lines of its files, with the ids that people have outside."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from deploy.matching.files import write_document, write_lines
from deploy.matching.formats import (
    CertificateFile,
    Instead,
    PairLine,
    Part,
    PriceLine,
    RefusedLock,
    UnmatchedLine,
)
from deploy.matching.people import Named
from services.matching.domain.result import Alternative, Match, Result


def write_outcome(
    folder: Path, named: Named, result: Result, *, seconds: float, peak_memory_mb: float
) -> CertificateFile:
    """Write pairs, the unmatched, prices and the certificate; returns the certificate."""
    certificate = _certificate(named, result, seconds, peak_memory_mb)
    write_lines(folder / "pairs.jsonl", (_pair(named, match) for match in result.matches))
    write_lines(
        folder / "unmatched.jsonl",
        (
            UnmatchedLine(id=named.ids[each.participant_id], role=each.role, reasons=each.reasons)
            for each in result.unmatched
        ),
    )
    write_lines(folder / "prices.jsonl", _prices(named, result))
    write_document(folder / "certificate.json", certificate)
    return certificate


def _certificate(
    named: Named, result: Result, seconds: float, peak_memory_mb: float
) -> CertificateFile:
    return CertificateFile.model_validate(
        {
            **asdict(result.certificate),
            "mentors": len(named.instance.mentors),
            "mentees": len(named.instance.mentees),
            "refused_locks": tuple(
                RefusedLock(
                    mentor_id=named.ids[lock.mentor_id],
                    mentee_id=named.ids[lock.mentee_id],
                    rule=lock.rule,
                )
                for lock in result.refused_locks
            ),
            "seconds": round(seconds, 3),
            "peak_memory_mb": round(peak_memory_mb, 1),
        }
    )


def _pair(named: Named, match: Match) -> PairLine:
    return PairLine(
        mentor_id=named.ids[match.mentor_id],
        mentee_id=named.ids[match.mentee_id],
        score=match.fit.score,
        breakdown=tuple(Part(**asdict(each)) for each in match.fit.breakdown),
        topics=match.fit.topics,
        instead_for_mentee=_instead(named, match.instead_for_mentee),
        instead_for_mentor=_instead(named, match.instead_for_mentor),
    )


def _instead(named: Named, other: Alternative | None) -> Instead | None:
    if other is None:
        return None
    return Instead(id=named.ids[other.participant_id], score=other.score, cost=other.cost)


def _prices(named: Named, result: Result) -> Iterator[PriceLine]:
    for person in (*named.instance.mentors, *named.instance.mentees):
        side = result.prices.mentors if person.role == "mentor" else result.prices.mentees
        if person.participant_id in side:
            yield PriceLine(
                id=named.ids[person.participant_id],
                role=person.role,
                price=side[person.participant_id],
            )
