"""What a run found as lines of its files, with the ids that people have outside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from uuid import UUID

from deploy.matching.files import write_document, write_lines
from deploy.matching.formats import (
    BottleneckOut,
    BottlenecksFile,
    CertificateFile,
    ChangeOut,
    Instead,
    Missing,
    NotReadyLine,
    PairLine,
    Part,
    PriceLine,
    RefusedLock,
    UnmatchedLine,
)
from deploy.matching.people import Named
from deploy.matching.report import report
from services.matching.domain.changes import Remedy
from services.matching.domain.explanation import Unmatched
from services.matching.domain.people import Person, Programme
from services.matching.domain.result import Alternative, Match, Result
from services.matching.domain.words import bottleneck_in_words, in_words


def write_outcome(
    folder: Path, named: Named, result: Result, *, seconds: float, peak_memory_mb: float
) -> CertificateFile:
    """Write all files of a run and a page to look at; returns the certificate."""
    certificate = _certificate(named, result, seconds, peak_memory_mb)
    short = _bottlenecks(result)
    write_lines(folder / "pairs.jsonl", (_pair(named, match) for match in result.matches))
    remedies = {remedy.participant_id: remedy for remedy in result.remedies}
    write_lines(
        folder / "unmatched.jsonl",
        (_unmatched(named, each, remedies.get(each.participant_id)) for each in result.unmatched),
    )
    write_lines(folder / "not_ready.jsonl", _not_ready(named, result, remedies))
    write_document(folder / "bottlenecks.json", short)
    write_lines(folder / "prices.jsonl", _prices(named, result))
    write_document(folder / "certificate.json", certificate)
    (folder / "report.html").write_text(report(named, result, certificate, short), "utf-8")
    return certificate


def _unmatched(named: Named, left: Unmatched, remedy: Remedy | None) -> UnmatchedLine:
    return UnmatchedLine(
        id=named.ids[left.participant_id],
        role=left.role,
        changes=_changes(named, remedy) if remedy else (),
        reasons=left.reasons,
        bottleneck=remedy.bottleneck if remedy else None,
        nearest=remedy.nearest if remedy else 0,
    )


def _not_ready(
    named: Named, result: Result, remedies: Mapping[UUID, Remedy]
) -> Iterator[NotReadyLine]:
    told = {each.participant_id for each in result.unmatched}
    for match in result.matches:
        told |= {match.mentor_id, match.mentee_id}
    for person in (*named.instance.mentors, *named.instance.mentees):
        if person.participant_id not in told:
            remedy = remedies.get(person.participant_id)
            yield NotReadyLine(
                id=named.ids[person.participant_id],
                role=person.role,
                changes=_changes(named, remedy) if remedy else (),
                missing=tuple(_missing(person, named.instance.programme)),
            )


def _missing(person: Person, programme: Programme) -> Iterator[Missing]:
    # Who is enrolled becomes ready by what follows.
    if person.status not in ("enrolled", "ready"):
        yield "status"
    if not person.consented:
        yield "consent"
    if programme.training_required and not person.trained:
        yield "training"
    if not person.employed:
        yield "employment"


def _changes(named: Named, remedy: Remedy) -> tuple[ChangeOut, ...]:
    return tuple(
        ChangeOut(
            kind=change.kind,
            field=change.field,
            before=change.before,
            after=change.after,
            id=None if change.participant_id is None else named.ids[change.participant_id],
            via=change.via,
            words=named.told(in_words(change, remedy.role)),
        )
        for change in remedy.changes
    )


def _bottlenecks(result: Result) -> BottlenecksFile:
    return BottlenecksFile(
        bottlenecks=tuple(
            BottleneckOut(**asdict(short), words=bottleneck_in_words(short))
            for short in result.bottlenecks
        ),
        not_examined=result.not_examined,
    )


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
    def instead(other: Alternative | None) -> Instead | None:
        if other is None:
            return None
        return Instead(id=named.ids[other.participant_id], score=other.score, cost=other.cost)

    return PairLine(
        mentor_id=named.ids[match.mentor_id],
        mentee_id=named.ids[match.mentee_id],
        score=match.fit.score,
        breakdown=tuple(Part(**asdict(each)) for each in match.fit.breakdown),
        topics=match.fit.topics,
        instead_for_mentee=instead(match.instead_for_mentee),
        instead_for_mentor=instead(match.instead_for_mentor),
    )


def _prices(named: Named, result: Result) -> Iterator[PriceLine]:
    for person in (*named.instance.mentors, *named.instance.mentees):
        side = result.prices.mentors if person.role == "mentor" else result.prices.mentees
        if person.participant_id in side:
            yield PriceLine(
                id=named.ids[person.participant_id],
                role=person.role,
                price=side[person.participant_id],
            )
