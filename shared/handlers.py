"""Which function of a service handles which event type, and how it is called."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from shared.catalogue import EVENT_TYPES, Event
from shared.database import Transaction
from shared.envelope import Envelope

EachHandler = Callable[[Any, Transaction], Awaitable[None]]
BatchHandler = Callable[[Sequence[Any], Transaction], Awaitable[None]]
TombstoneHandler = Callable[[Sequence[str], Transaction], Awaitable[None]]


class Rejected(Exception):  # noqa: N818 - named by the fact
    """A handler's word that a record can never be applied; says `field: reason; remedy`."""


@dataclass(frozen=True, slots=True)
class _Route:
    """The function for a group of event types, and how it wants to be called."""

    function: Any
    batched: bool


@dataclass
class Handlers:
    """Which function handles which event type."""

    routes: dict[str, _Route] = field(default_factory=dict)
    tombstone_routes: dict[str, TombstoneHandler] = field(default_factory=dict)
    event_types: list[type[Event]] = field(default_factory=list)

    def each(self, *types: type[Event]) -> Callable[[EachHandler], EachHandler]:
        """Register a function that takes one event at a time, in order.

        A base of the catalogue, such as PairFact, stands for all its event types.
        """

        def register(function: EachHandler) -> EachHandler:
            self._add(types, _Route(function, batched=False))
            return function

        return register

    def batch(self, *types: type[Event]) -> Callable[[BatchHandler], BatchHandler]:
        """Register a function that takes consecutive events of these types of one topic.

        A base of the catalogue, such as PairFact, stands for all its event types.
        """

        def register(function: BatchHandler) -> BatchHandler:
            self._add(types, _Route(function, batched=True))
            return function

        return register

    def tombstones(self, topic: str) -> Callable[[TombstoneHandler], TombstoneHandler]:
        """Register a function that takes the keys of which nothing is left on a topic."""

        def register(function: TombstoneHandler) -> TombstoneHandler:
            self.tombstone_routes[topic] = function
            return function

        return register

    def _add(self, types: Sequence[type[Event]], route: _Route) -> None:
        for event_type in EVENT_TYPES:
            if not issubclass(event_type, tuple(types)):
                continue
            if event_type.TYPE in self.routes:
                raise ValueError(f"{event_type.TYPE} has a handler already")
            self.routes[event_type.TYPE] = route
            self.event_types.append(event_type)

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics to subscribe to."""
        return tuple(sorted({event.TOPIC for event in self.event_types}))

    async def dispatch(self, envelopes: Sequence[Envelope], tx: Transaction) -> None:
        """Call the functions for these events; the order within a topic is kept."""
        by_topic: dict[str, list[Envelope]] = {}
        for envelope in envelopes:
            by_topic.setdefault(envelope.record.topic, []).append(envelope)
        for run in by_topic.values():
            for function, group in groupby(run, key=self._function_of):
                await self._call(function, list(group), tx)

    def _function_of(self, envelope: Envelope) -> Any:
        if envelope.data is None:
            return self.tombstone_routes.get(envelope.record.topic)
        return self.routes[envelope.type].function

    async def _call(self, function: Any, group: list[Envelope], tx: Transaction) -> None:
        first = group[0]
        if function is None:
            return
        if first.data is None:
            await function([(e.record.key or b"").decode() for e in group], tx)
        elif self.routes[first.type].batched:
            tx.handle(group)
            await function([e.data for e in group], tx)
        else:
            for envelope in group:
                tx.handle([envelope])
                await function(envelope.data, tx)
        tx.handle([])
