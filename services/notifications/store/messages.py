"""The messages owed: recorded once, claimed for sending, settled."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

import asyncpg

from services.notifications.domain.kinds import Kind
from services.notifications.domain.messages import Owed
from services.notifications.domain.release import Defer, Fail, Send, Suppress
from shared.catalogue import NotificationFailed, NotificationSent, NotificationSuppressed
from shared.database import Transaction
from shared.ids import new_id


@dataclass(frozen=True)
class Due:
    """A message whose time has come."""

    notification_id: UUID
    message: Owed
    owed_at: datetime
    attempts: int
    recorded_seconds_ago: float
    """Real seconds since we owe it."""
    trying_seconds: float = 0.0
    """Real seconds since the first attempt to send it."""


async def owe(tx: Transaction, messages: Sequence[Owed]) -> None:
    """Owe these messages from now on; those owed before, whatever became of them, stay as is."""
    if not messages:
        return
    await tx.connection.execute(
        """
        INSERT INTO messages (notification_id, idempotency_key, kind, employee_id, recipient,
            programme_id, participant_id, pair_id, session_id, about_at, owed_at, due_at)
        SELECT r.*, $11, $11
        FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::uuid[],
                    $7::uuid[], $8::uuid[], $9::uuid[], $10::timestamptz[])
            AS r (notification_id, key, kind, employee_id, recipient, programme_id,
                  participant_id, pair_id, session_id, about_at)
        -- one order for all writers, so that two of them never wait for each other in a circle
        ORDER BY r.key
        ON CONFLICT DO NOTHING
        """,
        [new_id(tx.now) for _ in messages],
        [m.key for m in messages],
        [str(m.kind) for m in messages],
        [m.employee_id for m in messages],
        [m.recipient for m in messages],
        [m.programme_id for m in messages],
        [m.participant_id for m in messages],
        [m.pair_id for m in messages],
        [m.session_id for m in messages],
        [m.about_at for m in messages],
        tx.now,
    )


async def due_messages(tx: Transaction, limit: int) -> list[Due]:
    """Messages that are due and in nobody's hands, most overdue first, locked."""
    rows = await tx.connection.fetch(
        """
        SELECT *, extract(epoch FROM clock_timestamp() - recorded_at)::float8 AS recorded_seconds,
            coalesce(extract(epoch FROM clock_timestamp() - tried_since), 0)::float8
                AS trying_seconds
        FROM messages
        WHERE state = 'owed' AND due_at <= $1 AND next_attempt_at <= clock_timestamp()
          AND (claimed_until IS NULL OR claimed_until < clock_timestamp())
        ORDER BY due_at LIMIT $2
        FOR UPDATE SKIP LOCKED
        """,
        tx.now,
        limit,
    )
    return [
        Due(
            notification_id=row["notification_id"],
            message=_message(row),
            owed_at=row["owed_at"],
            attempts=row["attempts"],
            recorded_seconds_ago=row["recorded_seconds"],
            trying_seconds=row["trying_seconds"],
        )
        for row in rows
    ]


def _message(row: asyncpg.Record) -> Owed:
    return Owed(
        kind=Kind(row["kind"]),
        employee_id=row["employee_id"],
        recipient=row["recipient"],
        key=row["idempotency_key"],
        programme_id=row["programme_id"],
        participant_id=row["participant_id"],
        pair_id=row["pair_id"],
        session_id=row["session_id"],
        about_at=row["about_at"],
    )


async def mails_per_day(
    tx: Transaction, due: Sequence[Due], since: date
) -> dict[tuple[str, date], int]:
    """How many mails each person was sent, or is being sent, per local day; `due` left out."""
    rows = await tx.connection.fetch(
        """
        SELECT employee_id, day, count(*) AS mails FROM messages
        WHERE employee_id = ANY($1) AND day >= $2 AND notification_id <> ALL($3)
          AND (state IN ('owed', 'sent') OR unanswered)
        GROUP BY employee_id, day
        """,
        [d.message.employee_id for d in due],
        since,
        [d.notification_id for d in due],
    )
    return {(row["employee_id"], row["day"]): row["mails"] for row in rows}


async def calendar_entries(tx: Transaction, session_ids: Sequence[UUID]) -> set[tuple[UUID, str]]:
    """(session, employee) for each booking that was mailed, or may have been."""
    rows = await tx.connection.fetch(
        """
        SELECT DISTINCT session_id, employee_id FROM messages
        WHERE session_id = ANY($1) AND kind = 'session_scheduled'
          AND (state = 'sent' OR attempts > 0 OR claimed_until > clock_timestamp())
        """,
        list(session_ids),
    )
    return {(row["session_id"], row["employee_id"]) for row in rows}


async def claim(
    tx: Transaction, sends: dict[UUID, Send], *, claim_id: UUID, lease: timedelta
) -> None:
    """Take messages into one sender's hands; after the lease, others may take them."""
    if not sends:
        return
    await tx.connection.execute(
        """
        UPDATE messages m SET claim = $3, claimed_until = clock_timestamp() + $4::interval,
            day = r.day, attempts = attempts + 1,
            -- the sender before, if any, died with the message in its hands
            unanswered = unanswered OR claim IS NOT NULL,
            tried_since = coalesce(tried_since, clock_timestamp())
        FROM unnest($1::uuid[], $2::date[]) AS r (notification_id, day)
        WHERE m.notification_id = r.notification_id
        """,
        list(sends),
        [send.day for send in sends.values()],
        claim_id,
        lease,
    )


async def defer(tx: Transaction, defers: dict[UUID, Defer]) -> None:
    """Look at messages again later."""
    if not defers:
        return
    await tx.connection.execute(
        """
        UPDATE messages m SET due_at = r.until
        FROM unnest($1::uuid[], $2::timestamptz[]) AS r (notification_id, until)
        WHERE m.notification_id = r.notification_id
        """,
        list(defers),
        [each.until for each in defers.values()],
    )


async def settle(tx: Transaction, verdicts: dict[UUID, Suppress | Fail]) -> None:
    """Settle messages that are not sent, and say so."""
    if not verdicts:
        return
    rows = await tx.connection.fetch(
        """
        UPDATE messages m SET state = r.state, reason = r.reason, settled_at = $4,
            unanswered = unanswered OR claim IS NOT NULL, claim = NULL, claimed_until = NULL
        FROM unnest($1::uuid[], $2::text[], $3::text[]) AS r (notification_id, state, reason)
        WHERE m.notification_id = r.notification_id AND m.state = 'owed'
        RETURNING m.*
        """,
        list(verdicts),
        ["failed" if isinstance(v, Fail) else "suppressed" for v in verdicts.values()],
        [v.reason for v in verdicts.values()],
        tx.now,
    )
    for row in rows:
        _publish_settled(tx, row)


def _publish_settled(tx: Transaction, row: asyncpg.Record) -> None:
    event_type = NotificationFailed if row["state"] == "failed" else NotificationSuppressed
    tx.publish(event_type(**_fact(row), reason=row["reason"]))


def _fact(row: asyncpg.Record) -> dict[str, object]:
    return {
        "notification_id": row["notification_id"],
        "employee_id": row["employee_id"],
        "programme_id": row["programme_id"],
        "pair_id": row["pair_id"],
        "kind": row["kind"],
        "idempotency_key": row["idempotency_key"],
        "owed_at": row["owed_at"],
        "attempts": row["attempts"],
    }


async def record_sent(
    tx: Transaction, notification_ids: Sequence[UUID], *, claim_id: UUID, sent_at: datetime
) -> None:
    """Record that the mail server took messages, and say so; lost claims change nothing."""
    if not notification_ids:
        return
    rows = await tx.connection.fetch(
        """
        UPDATE messages SET state = 'sent', settled_at = $3, claim = NULL, claimed_until = NULL
        WHERE notification_id = ANY($1) AND claim = $2 AND state = 'owed'
        RETURNING *
        """,
        list(notification_ids),
        claim_id,
        sent_at,
    )
    for row in rows:
        tx.publish(NotificationSent(**_fact(row), sent_at=sent_at))


async def record_failed(tx: Transaction, reasons: dict[UUID, str], *, claim_id: UUID) -> None:
    """Record that messages are given up, and say so."""
    if not reasons:
        return
    rows = await tx.connection.fetch(
        """
        UPDATE messages m SET state = 'failed', reason = r.reason, settled_at = $4, claim = NULL,
            claimed_until = NULL
        FROM unnest($1::uuid[], $2::text[]) AS r (notification_id, reason)
        WHERE m.notification_id = r.notification_id AND m.claim = $3 AND m.state = 'owed'
        RETURNING m.*
        """,
        list(reasons),
        list(reasons.values()),
        claim_id,
        tx.now,
    )
    for row in rows:
        _publish_settled(tx, row)


async def record_retries(
    tx: Transaction, waits: dict[UUID, timedelta], unanswered: Set[UUID], *, claim_id: UUID
) -> None:
    """Put messages back, each to be tried again after its wait of real time.

    Those in `unanswered` may have arrived.
    """
    if not waits:
        return
    await tx.connection.execute(
        """
        UPDATE messages m SET next_attempt_at = clock_timestamp() + r.wait, claim = NULL,
            claimed_until = NULL, unanswered = m.unanswered OR r.unanswered
        FROM unnest($1::uuid[], $2::interval[], $4::boolean[])
            AS r (notification_id, wait, unanswered)
        WHERE m.notification_id = r.notification_id AND m.claim = $3 AND m.state = 'owed'
        """,
        list(waits),
        list(waits.values()),
        claim_id,
        [key in unanswered for key in waits],
    )


async def suppress_all_to(tx: Transaction, employee_ids: Sequence[str], reason: str) -> None:
    """Settle everything still owed to these people, and say so."""
    rows = await tx.connection.fetch(
        """
        UPDATE messages SET state = 'suppressed', reason = $2, settled_at = $3,
            -- a mail on the wire is not called back
            unanswered = unanswered OR claim IS NOT NULL, claim = NULL, claimed_until = NULL
        WHERE employee_id = ANY($1) AND state = 'owed'
        RETURNING *
        """,
        list(employee_ids),
        reason,
        tx.now,
    )
    for row in rows:
        _publish_settled(tx, row)


async def wake_messages_to(tx: Transaction, employee_ids: Sequence[str]) -> None:
    """Look now at what is owed to people whose address just arrived or changed."""
    await tx.connection.execute(
        """
        UPDATE messages SET due_at = $2
        WHERE employee_id = ANY($1) AND state = 'owed' AND due_at > $2
        """,
        list(employee_ids),
        tx.now,
    )


async def counts_of_programme(tx: Transaction, programme_id: UUID) -> list[tuple[str, str, int]]:
    """(kind, state, messages) of one programme."""
    rows = await tx.connection.fetch(
        """
        SELECT kind, state, count(*) AS messages FROM messages WHERE programme_id = $1
        GROUP BY kind, state ORDER BY kind, state
        """,
        programme_id,
    )
    return [(row["kind"], row["state"], row["messages"]) for row in rows]
