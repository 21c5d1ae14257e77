"""The gate: what was published stays readable, and the kept files say what the code does."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.contracts.compatibility import breaking_changes
from deploy.contracts.history import Published, published
from deploy.contracts.schemas import FOLDER, ROOT, kept_schemas, schema
from shared.catalogue import EVENT_TYPES, Event


@dataclass(frozen=True, slots=True)
class Breakage:
    """A change of a published event that somebody would trip over."""

    event_type: str
    name: str
    """The class in the catalogue, or that it is gone."""
    change: str

    def __str__(self) -> str:
        return f"{self.event_type} ({self.name}): {self.change}"


def breakages(
    folder: Path = FOLDER, events: Sequence[type[Event]] = EVENT_TYPES, root: Path = ROOT
) -> list[Breakage]:
    """The catalogue against every version of every event that was ever committed.

    Without git the kept files are all that is known. With it, a schema that is not committed yet
    may still change: nobody else can have built on it.
    """
    known = published(root, folder)
    if known is None:
        known = [Published(name, kept) for name, kept in kept_schemas(folder).items()]
    current = {event.TYPE: event for event in events}
    found: dict[Breakage, None] = {}
    for one in sorted(known, key=lambda one: one.event_type):
        event = current.get(one.event_type)
        if event is None:
            gone = "the type is gone; records of it are still on its topic"
            found[Breakage(one.event_type, "not in the catalogue", gone)] = None
            continue
        for change in breaking_changes(one.schema, schema(event)):
            found[Breakage(one.event_type, event.__name__, change)] = None
    return list(found)


def stale_schemas(
    folder: Path = FOLDER, events: Sequence[type[Event]] = EVENT_TYPES
) -> Iterator[str]:
    """Event types whose kept schema is not that of the code, or has no event any more."""
    kept = kept_schemas(folder)
    current = {event.TYPE: schema(event) for event in events}
    for name in sorted(kept.keys() | current.keys()):
        if kept.get(name) != current.get(name):
            yield name


def remedy(event_type: str, events: Sequence[type[Event]] = EVENT_TYPES) -> str:
    """What to do instead of changing a published event."""
    stem, number = _versioned(event_type)
    taken = [_versioned(event.TYPE)[1] for event in events if _versioned(event.TYPE)[0] == stem]
    following = f"{stem}.v{max([number, *taken]) + 1}"
    return (
        f"keep {event_type} as it was and add {following} beside it: a class of its own in "
        "shared/catalogue, listed in EVENT_TYPES, with golden records. Publish both until every "
        "reader has moved. An optional field with a default may be added at any time."
    )


def _versioned(event_type: str) -> tuple[str, int]:
    stem, version = re.fullmatch(r"(.+?)(?:\.v(\d+))?", event_type).groups()  # type: ignore[union-attr]
    return stem, int(version or 1)
