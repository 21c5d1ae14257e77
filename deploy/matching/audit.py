"""A run that was kept, checked anew from its input: in the files of `updraft match`, or as the
matching service hands it over."""

from __future__ import annotations

import base64
import binascii
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import UUID

import numpy as np
from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from deploy.matching.files import BadInputError, Input, read_document, read_lines
from deploy.matching.formats import (
    CertificateFile,
    EvidenceFile,
    FoundPrices,
    Instead,
    PairLine,
    Part,
    PriceLine,
    UnmatchedLine,
)
from deploy.matching.people import Named, participant_id
from services.matching.domain.explanation import reasons_by_number
from services.matching.domain.instance import Instance, canonical, from_canonical
from services.matching.domain.people import Person
from services.matching.domain.problem import all_pairs, with_locks
from services.matching.domain.result import Certificate, Prices
from services.matching.domain.rules import broken_rule
from services.matching.domain.scoring import fit
from services.matching.domain.verification import StatedPair, verify
from shared.catalogue import Role
from shared.envelope import describe

Told = Callable[[str, float], None]

LARGEST_UNPACKED = 2 * 1024**3
"""Bytes; the input of half a million people takes less."""

_LARGEST = 10_000
"""Of a level, or of minutes."""
_MOST_SEATS = 100
_NEARLY = 1e-6
_NOT_KEPT = "somebody in the input was erased since; such a run cannot be verified any more"
_ANY_INPUT = TypeAdapter(Instance)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What does not hold of a run, what it claims of itself, and what it was given."""

    findings: list[str]
    certificate: Certificate
    given: Instance


def verdict_on_files(folder: Path, given: Input, told: Told) -> Verdict:
    """Check what `updraft match` wrote. Raises BadInputError when a file cannot be read."""
    told("reading", 0.5)
    pairs = read_lines(folder / "pairs.jsonl", PairLine)
    left = read_lines(folder / "unmatched.jsonl", UnmatchedLine)
    prices = read_lines(folder / "prices.jsonl", PriceLine)
    file = read_document(folder / "certificate.json", CertificateFile)
    named = given.named
    certificate = Certificate(**{name: getattr(file, name) for name in Certificate.__slots__})
    stated = [
        StatedPair(
            participant_id("mentor", pair.mentor_id),
            participant_id("mentee", pair.mentee_id),
            pair.score,
        )
        for pair in pairs
    ]
    strangers = {
        participant_id(role, name): name
        for pair in pairs
        for role, name in _ends(pair)
        if participant_id(role, name) not in named.ids
    }
    known = Named(named.instance, named.ids | strangers, named.employees)
    found = [
        *_twice(prices),
        *verify(named.instance, stated, certificate, _prices(prices), told),
        *_wrong_claims(named, file),
    ]
    if not strangers:
        found += _wrong_breakdowns(named, pairs)
    found += _wrong_reasons(named, stated, left, told)
    return Verdict([known.told(each) for each in found], certificate, named.instance)


def verdict_on_run(path: Path, told: Told) -> Verdict:
    """Check what the matching service keeps of a run. Raises BadInputError."""
    told("reading", 0.0)
    kept = read_document(path, EvidenceFile)
    if kept.input is None or kept.prices is None:
        raise BadInputError(path, [(None, f"input: {_NOT_KEPT}")])
    given = _given(path, _unpacked(path, "input", kept.input))
    try:
        prices = FoundPrices.model_validate_json(_unpacked(path, "prices", kept.prices))
    except ValidationError as error:
        raise BadInputError(path, [(None, f"prices: {describe(error)}")]) from None
    pairs = [StatedPair(each.mentor_id, each.mentee_id, each.score) for each in kept.matches]
    stated = Prices(prices.mentees, prices.mentors)
    findings = verify(given, pairs, kept.certificate, stated, told)
    return Verdict(findings, kept.certificate, given)


def _ends(pair: PairLine) -> tuple[tuple[Role, str], tuple[Role, str]]:
    return ("mentor", pair.mentor_id), ("mentee", pair.mentee_id)


def _twice(lines: Iterable[PriceLine]) -> Iterator[str]:
    for (role, name), count in Counter((line.role, line.id) for line in lines).items():
        if count > 1:
            yield f"prices: {role} {name} is there {count} times"


def _prices(lines: Iterable[PriceLine]) -> Prices:
    sides: dict[Role, dict[UUID, int]] = {"mentee": {}, "mentor": {}}
    for line in lines:
        sides[line.role][participant_id(line.role, line.id)] = line.price
    return Prices(sides["mentee"], sides["mentor"])


def _wrong_claims(named: Named, file: CertificateFile) -> Iterator[str]:
    given = named.instance
    refused = {
        (named.ids[lock.mentor_id], named.ids[lock.mentee_id], lock.rule)
        for lock in with_locks(given).refused
    }
    for name, said, is_so in (
        ("mentors", file.mentors, len(given.mentors)),
        ("mentees", file.mentees, len(given.mentees)),
    ):
        if said != is_so:
            yield f"certificate {name}: is {is_so}, not {said}"
    if {(lock.mentor_id, lock.mentee_id, lock.rule) for lock in file.refused_locks} != refused:
        yield "certificate refused_locks: are not those that a rule forbids"


def _wrong_breakdowns(named: Named, pairs: Iterable[PairLine]) -> Iterator[str]:
    """Of pairs whose people are known."""
    given = named.instance
    people = {person.participant_id: person for person in (*given.mentors, *given.mentees)}
    for pair in pairs:
        mentor, mentee = (people[participant_id(role, name)] for role, name in _ends(pair))
        found = fit(mentor, mentee, given.programme, given.now)
        name = f"pair {pair.mentor_id} – {pair.mentee_id}"
        if pair.breakdown != tuple(Part(**asdict(part)) for part in found.breakdown):
            yield f"{name}: its breakdown is not that of the two"
        if pair.topics != found.topics:
            yield f"{name}: its topics are not those of the two"
        for side, other, one, two in (
            ("mentee", pair.instead_for_mentee, None, mentee),
            ("mentor", pair.instead_for_mentor, mentor, None),
        ):
            if other is not None and not _is_possible(given, people, other, one, two):
                yield f"{name}: what is next best for the {side} is not as it says"


def _is_possible(
    given: Instance,
    people: dict[UUID, Person],
    other: Instead,
    mentor: Person | None,
    mentee: Person | None,
) -> bool:
    mentor = mentor or people.get(participant_id("mentor", other.id))
    mentee = mentee or people.get(participant_id("mentee", other.id))
    return (
        mentor is not None
        and mentee is not None
        and broken_rule(mentor, mentee, given.programme) is None
        and fit(mentor, mentee, given.programme, given.now).score == other.score
    )


def _wrong_reasons(
    named: Named, pairs: Iterable[StatedPair], lines: Iterable[UnmatchedLine], told: Told
) -> Iterator[str]:
    said: dict[UUID, UnmatchedLine] = {}
    for line in lines:
        key = participant_id(line.role, line.id)
        if key in said:
            yield f"unmatched: {line.role} {line.id} is there twice"
        said[key] = line
    served = {key for pair in pairs for key in (pair.mentor_id, pair.mentee_id)}
    reasons = _reasons(named.instance, served, told)
    for key in reasons.keys() - said.keys():
        yield f"unmatched: {named.ids[key]} has no partner and is not there"
    for key, line in said.items():
        if key not in reasons:
            yield f"unmatched: {line.role} {line.id} is not somebody who is left without a partner"
        elif line.reasons != reasons[key]:
            yield f"unmatched: {line.role} {line.id}: the reasons are {reasons[key]}"


def _reasons(given: Instance, served: Collection[UUID], told: Told) -> dict[UUID, dict[str, int]]:
    """Why each person is left who is ready and has no partner."""
    rest = with_locks(given).rest
    sides = (rest.mentees, rest.mentors)
    left = [
        np.array(
            [p.waits(given.programme) and p.participant_id not in served for p in people], np.bool_
        )
        for people in sides
    ]
    if not any(side.any() for side in left):
        return {}
    return {
        people[place].participant_id: reasons_by_number(counts[place].tolist())
        for people, who, counts in zip(
            sides, left, all_pairs(rest, told).reasons(*left), strict=True
        )
        for place in np.flatnonzero(who).tolist()
    }


def _unpacked(path: Path, name: str, text: str) -> bytes:
    try:
        # The database breaks the text into lines.
        packed = base64.b64decode("".join(text.split()), validate=True)
        inflating = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        content = inflating.decompress(packed, LARGEST_UNPACKED)
    except (binascii.Error, ValueError, zlib.error):
        reason = f"{name}: is not gzip in base64; send what the service answered"
        raise BadInputError(path, [(None, reason)]) from None
    if not inflating.eof or inflating.unused_data:
        reason = f"{name}: is cut short or too large; send what the service answered"
        raise BadInputError(path, [(None, reason)])
    return content


def _given(path: Path, text: bytes) -> Instance:
    try:
        from_json(text, allow_inf_nan=False)
        _ANY_INPUT.validate_json(text, strict=True)
    except ValidationError as error:
        raise BadInputError(path, [(None, f"input: {describe(error)}")]) from None
    except ValueError:
        raise BadInputError(path, [(None, "input: is not JSON that is read here")]) from None
    otherwise = BadInputError(
        path, [(None, "input: is not in its canonical form; send what the service answered")]
    )
    try:
        # Not what was validated: that has floats where the text has whole numbers.
        given = from_canonical(text)
    except (ValueError, KeyError, TypeError):
        raise otherwise from None
    if canonical(given) != text or not _is_sound(given):
        raise otherwise
    return given


def _is_sound(given: Instance) -> bool:
    """Whether the values are such as the service lets in, so that no sum of them runs over."""
    programme, weights = given.programme, asdict(given.programme.weights).values()
    everybody = (*given.mentors, *given.mentees)
    ids = {person.participant_id for person in everybody}
    return (
        len(ids) == len(everybody)
        and all(person.role == "mentor" for person in given.mentors)
        and all(person.role == "mentee" for person in given.mentees)
        and given.now.tzinfo is not None
        and all(0 <= weight <= 100 for weight in weights)
        and abs(sum(weights) - 100) < _NEARLY
        and 0 <= programme.score_floor <= 100
        and 0 <= programme.stickiness <= 100
        and _are_small(
            programme.min_level_gap, programme.target_level_gap, programme.min_overlap_minutes
        )
        and all(map(_is_sound_person, everybody))
    )


def _is_sound_person(person: Person) -> bool:
    return (
        _are_small(person.level or 0, person.works_from, person.works_until)
        and 0 <= person.taken <= _MOST_SEATS
        and 0 <= person.seats <= _MOST_SEATS
        and (person.waiting_since is None or person.waiting_since.tzinfo is not None)
        and all(1 <= proficiency <= 5 for proficiency in person.offers.values())
        and all(1 <= priority <= 3 for priority in person.wants.values())
        and all(
            word in person.offers and 0 <= percent <= 100 for word, percent in person.near.values()
        )
    )


def _are_small(*numbers: int) -> bool:
    return all(abs(number) <= _LARGEST for number in numbers)
