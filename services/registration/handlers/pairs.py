"""What matching decides on pairs, as registration needs to know it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from services.registration import facts
from services.registration.domain.pairs import Pair
from services.registration.handlers.registry import handlers
from services.registration.store import pairs, sessions
from shared.catalogue import (
    PairFact,
    SessionCancelled,
)
from shared.database import Transaction


@handlers.batch(PairFact)
async def remember_pairs(events: Sequence[PairFact], tx: Transaction) -> None:
    """Keep the newest state of each pair; call off what a pair that stands still has booked."""
    news = await pairs.remember(tx.connection, _newest(events))
    still = [one.pair_id for one in news if one.status != "active"]
    for session in await sessions.cancel_future_sessions(tx.connection, still, tx.now):
        tx.publish(facts.session_fact(SessionCancelled, session))


def _newest(events: Sequence[PairFact]) -> list[Pair]:
    """One state per pair, the newest, with everybody who was asked in any of them."""
    newest: dict[UUID, Pair] = {}
    for one in map(facts.pair_of, events):
        known = newest.get(one.pair_id, one)
        latest = one if one.version >= known.version else known
        newest[one.pair_id] = replace(latest, asked=known.asked | one.asked)
    return list(newest.values())
