"""Answers to proposals, and who may see a pair."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from services.registration.domain.pairs import Answerer, Pair, check_answerable
from services.registration.domain.programmes import Role
from services.registration.domain.rules import Overtaken, Unknown
from services.registration.store import pairs
from shared.catalogue import ProposalAccepted, ProposalDeclined
from shared.database import Transaction

Choice = Literal["accept", "decline"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a side said to a proposal, and when."""

    pair_id: UUID
    by: Answerer
    answer: str
    answered_at: datetime


async def own_pair(
    tx: Transaction, pair_id: UUID, employee_id: str | None, *, lock: bool = False
) -> tuple[Pair, Role]:
    """The pair that an employee belongs to and knows of, and their side. Raises Unknown."""
    pair = await pairs.pair(tx.connection, pair_id, lock=lock)
    role = None if pair is None or employee_id is None else pair.role_of(employee_id)
    if pair is None or role is None or not pair.shown_to(role):
        raise Unknown("pair")
    return pair, role


async def answer(tx: Transaction, pair: Pair, by: Answerer, choice: Choice) -> Answer:
    """Record an answer to a proposal that the caller has locked; the same once more is no news."""
    said = await pairs.answer(tx.connection, pair.pair_id, by)
    if said is not None:
        earlier, answered_at = said
        if earlier != choice:
            raise Overtaken(
                "answer",
                f"You answered this proposal before, with {earlier}.",
                "To leave a pair that was formed, raise a concern that asks for an exit.",
            )
        return Answer(pair.pair_id, by, earlier, answered_at)
    check_answerable(pair, by, tx.now)
    await pairs.record_answer(tx.connection, pair.pair_id, by, choice, tx.now)
    fact = ProposalAccepted if choice == "accept" else ProposalDeclined
    tx.publish(
        fact(pair_id=pair.pair_id, programme_id=pair.programme_id, by=by, answered_at=tx.now)
    )
    return Answer(pair.pair_id, by, choice, tx.now)
