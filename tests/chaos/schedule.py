"""When which fault strikes: made of a seed alone, printed before the run, the same every time."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from deploy.local.postgres import SERVICES

QUIET_START_SECONDS = 3.0
_GAP_SECONDS = (4.0, 8.0)
_SERVICE_FAULTS = ("kill", "scale", "cut", "freeze")
_MORE_OFTEN = ("kill", "kill", "scale", "cut")
_POSTGRES_FAULTS = ("postgres restart", "postgres crash")
_BROKER_FAULTS = ("broker kill", "broker stop")


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong at a moment of the run."""

    at: float
    """Seconds after the load began."""
    kind: str
    target: str
    """A service, `postgres`, or the number of a broker's node."""
    seconds: float = 0.0
    """How long it lasts: a pause, an outage, the life of a replica."""
    gentle: bool = False
    """For replicas: whether they end by SIGTERM."""
    count: int = 1
    """For replicas: how many are added."""

    def __str__(self) -> str:
        lasting = f" for {self.seconds:.0f} s" if self.seconds else ""
        more = ""
        if self.kind == "scale":
            more = f", {self.count} more, ended by {'SIGTERM' if self.gentle else 'SIGKILL'}"
        return f"{self.at:6.1f} s  {self.kind} {self.target}{lasting}{more}"


def schedule(seed: int, *, seconds: float, nodes: int, session_seconds: float) -> list[Fault]:
    """The faults of a run; `nodes` of a broker may be stopped, one at a time; 0: none may.

    Each round has every kind of fault in another order, so that a minute meets all of them.
    """
    dice = random.Random(f"{seed}/faults")
    faults: list[Fault] = []
    at = QUIET_START_SECONDS
    for kind in _kinds(dice, nodes):
        if at > seconds:
            return faults
        faults.append(_fault(dice, kind, at, nodes, session_seconds))
        at += dice.uniform(*_GAP_SECONDS)
    raise AssertionError("the kinds never end")


def _kinds(dice: random.Random, nodes: int) -> Iterator[str]:
    while True:
        kinds = [*_SERVICE_FAULTS, *_POSTGRES_FAULTS, *(_BROKER_FAULTS if nodes else ())]
        for some in (kinds, list(_MORE_OFTEN)):
            dice.shuffle(some)
            yield from some


def _fault(dice: random.Random, kind: str, at: float, nodes: int, session_seconds: float) -> Fault:
    if kind in _POSTGRES_FAULTS:
        return Fault(at, kind, "postgres")
    if kind in _BROKER_FAULTS:
        return Fault(at, kind, str(dice.randint(1, nodes)), seconds=dice.uniform(0.5, 3))
    target = dice.choice(SERVICES)
    if kind == "scale":
        return Fault(
            at,
            kind,
            target,
            seconds=dice.uniform(8, 16),
            gentle=dice.random() < 0.5,
            count=dice.choice((1, 1, 2)),
        )
    if kind == "freeze":
        return Fault(at, kind, target, seconds=session_seconds * dice.uniform(1.5, 2.5))
    return Fault(at, kind, target)
