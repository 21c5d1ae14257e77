"""The checks: what was told against what came of it; pure, so that each can be seen to fail."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

MISSING = "missing"
DOUBLED = "doubled"
INVERTED = "inversions"
PARKED = "parked wrongly"
FIGURES = (MISSING, DOUBLED, INVERTED, PARKED)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as promised; names ids, never a person's data."""

    figure: str
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.figure}: {self.where}: {self.what}"


@dataclass(frozen=True, slots=True)
class Delivery:
    """A record of a topic; deliveries of one partition are held in the partition's order."""

    topic: str
    partition: int
    offset: int
    event_id: UUID
    content: bytes
    """Tells whether two records with one id say the same."""
    type: str
    effect: str
    """`type:id` of what came about, e.g. `updraft.goal.set.v1:<goal id>`."""
    fact: str
    """What may be told once only, under whichever event id."""
    line: str | None = None
    """The aggregate within which order counts."""
    place: Any = None
    """Its place on the line: a version, or a moment."""


def first_deliveries(deliveries: Iterable[Delivery]) -> Iterator[Delivery]:
    """Each event where it was met first, as a consumer with an inbox sees it."""
    seen: set[UUID] = set()
    for one in deliveries:
        if one.event_id not in seen:
            seen.add(one.event_id)
            yield one


def duplicates(deliveries: Iterable[Delivery]) -> Counter[str]:
    """How many records on the wire repeat an event, by topic; allowed, and told."""
    seen: set[UUID] = set()
    found: Counter[str] = Counter()
    for one in deliveries:
        found[one.topic] += one.event_id in seen
        seen.add(one.event_id)
    return +found


def doubled(deliveries: Sequence[Delivery]) -> Iterator[Finding]:
    """Facts told under more than one event id, and ids with more than one content."""
    ids: dict[str, set[UUID]] = defaultdict(set)
    contents: dict[UUID, set[bytes]] = defaultdict(set)
    topics: dict[str, str] = {}
    for one in deliveries:
        ids[one.fact].add(one.event_id)
        topics[one.fact] = one.topic
        contents[one.event_id].add(one.content)
    for fact, known in ids.items():
        if len(known) > 1:
            yield Finding(DOUBLED, topics[fact], f"{fact} was told as {len(known)} events")
    for event_id, said in contents.items():
        if len(said) > 1:
            yield Finding(DOUBLED, "topics", f"event {event_id} has {len(said)} contents")


def inverted(deliveries: Iterable[Delivery]) -> Iterator[Finding]:
    """Lines whose places do not rise from one first delivery to the next."""
    last: dict[str, Delivery] = {}
    for one in first_deliveries(deliveries):
        if one.line is None:
            continue
        before = last.get(one.line)
        if before is not None and before.partition != one.partition:
            yield Finding(INVERTED, one.topic, f"{one.line} is in two partitions")
        elif before is not None and one.place < before.place:
            told = f"{one.line}: {one.place} came after {before.place}"
            yield Finding(INVERTED, one.topic, told)
        if before is None or one.place > before.place:
            last[one.line] = one


def gaps(deliveries: Iterable[Delivery]) -> Iterator[Finding]:
    """Versions that were never told, though later ones were."""
    versions: dict[str, set[int]] = defaultdict(set)
    topics: dict[str, str] = {}
    for one in deliveries:
        if one.line is not None and isinstance(one.place, int):
            versions[one.line].add(one.place)
            topics[one.line] = one.topic
    for line, told in versions.items():
        lacking = sorted(set(range(1, max(told) + 1)) - told)
        if lacking:
            yield Finding(MISSING, topics[line], f"{line} lacks version {lacking[0]}")


def came_about(
    acknowledged: Mapping[str, str], caused_by_people: Collection[str], told: Iterable[Delivery]
) -> Iterator[Finding]:
    """Answers of 2xx against the events that they promised.

    `acknowledged`: effect → who asked for it. Of the types `caused_by_people` nothing else may
    have come about: it would be the second effect of one request.
    """
    events: dict[str, set[UUID]] = defaultdict(set)
    types: dict[str, str] = {}
    for one in told:
        events[one.effect].add(one.event_id)
        types[one.effect] = one.type
    for effect, asked in acknowledged.items():
        if effect not in events:
            yield Finding(MISSING, asked, f"{effect} was acknowledged, no event tells of it")
        elif types[effect] in caused_by_people and len(events[effect]) > 1:
            yield Finding(DOUBLED, asked, f"{effect} came about {len(events[effect])} times")
    for effect, kind in types.items():
        if kind in caused_by_people and effect not in acknowledged:
            yield Finding(DOUBLED, "HTTP", f"{effect} came about, no answer told of it")


def taken_in(
    service: str, told: Mapping[UUID, str], inbox: Collection[UUID], parked: Collection[UUID]
) -> Iterator[Finding]:
    """Events for a service against its inbox, both ways; `told`: id → what it is."""
    known = set(inbox) | set(parked)
    for event_id, what in told.items():
        if event_id not in known:
            yield Finding(MISSING, service, f"{what} ({event_id}) was never taken in")
    for event_id in set(inbox) - told.keys():
        # Whoever applied it had it from the broker, which must not forget what it gave out.
        yield Finding(MISSING, service, f"event {event_id} was applied, and no topic holds it")


def parked_exactly(
    expected: Mapping[frozenset[UUID], str], found: Sequence[UUID]
) -> Iterator[Finding]:
    """Broken records against those parked; a record may be known by any of its ids, once."""
    owner = {event_id: ids for ids in expected for event_id in ids}
    parked: Counter[frozenset[UUID]] = Counter()
    for event_id in found:
        if event_id in owner:
            parked[owner[event_id]] += 1
        else:
            yield Finding(PARKED, "registration", f"record {event_id} was good")
    for ids, what in expected.items():
        if parked[ids] != 1:
            yield Finding(PARKED, "registration", f"{what}: parked {parked[ids]} times, not once")


def alike(
    what: str, where: str, here: Collection[Hashable], there: Collection[Hashable]
) -> Iterator[Finding]:
    """Two copies of the same things: what one lacks is missing there."""
    for key in set(here) - set(there):
        yield Finding(MISSING, where, f"{what} {key} is only in the first")
    for key in set(there) - set(here):
        yield Finding(DOUBLED, where, f"{what} {key} is only in the second")


def once(what: str, where: str, causes: Iterable[Hashable]) -> Iterator[Finding]:
    """Things of which each cause may have one."""
    for cause, count in Counter(causes).items():
        if count > 1:
            yield Finding(DOUBLED, where, f"{count} {what} for {cause}")


def known_as_told(
    expected: Mapping[str, Mapping[str, Any]], found: Mapping[str, Mapping[str, Any]]
) -> Iterator[Finding]:
    """People as HR's last acknowledged word has them, against the directory."""
    for employee_id, facts in expected.items():
        known = found.get(employee_id)
        if known is None:
            yield Finding(MISSING, "registration", f"{employee_id} is not in the directory")
            continue
        other = sorted(name for name, value in facts.items() if known[name] != value)
        if other:
            told = ", ".join(other)
            yield Finding(MISSING, "registration", f"{employee_id}: {told} not as HR said last")
