"""Every SQL statement about matching runs: what is asked of them, and what they find."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg

from services.matching.domain.changes import Change, Remedy
from services.matching.domain.explanation import Unmatched
from services.matching.domain.pairs import Pair
from services.matching.domain.result import Alternative, Match, Prices, Result
from services.matching.domain.scoring import Contribution, Fit
from services.matching.near import Near
from shared.database import Database, Transaction

Couple: TypeAlias = tuple[UUID, UUID]
"""Mentor and mentee by participant id."""

_ROWS_AT_ONCE = 500
_REST_SECONDS = 0.05
_WAITS_AT_MOST = 5
"""Times the debounce: events that never cease must not hold a run up for ever."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of a run beyond the programme's rules."""

    dry_run: bool = False
    """Propose nothing."""
    replan: bool = False
    """Decide living pairs anew too."""
    review: bool = False
    """Have the pairs wait for a manager."""
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Rules in place of the programme's."""
    apart: tuple[Couple, ...] = ()
    """Kept apart by this run alone."""
    asked_by: str | None = None


PLAIN = Request()
"""Nothing beyond them."""


@dataclass(frozen=True, slots=True)
class Run:
    """A matching run that this process carries out."""

    run_id: UUID
    programme_id: UUID
    trigger: str
    attempts: int
    started_at: datetime
    asked: Request
    programme_version: int | None
    """Of the rules that the run went by; None until it is solved."""

    @property
    def solved(self) -> bool:
        """Whether its pairs are known."""
        return self.programme_version is not None


@dataclass(frozen=True, slots=True)
class Draft:
    """A pair that a run found, before it is proposed."""

    place: int
    match: Match
    near: Near | None
    """What of the mentor's topics was taken as near to what the mentee wants."""


@dataclass(frozen=True, slots=True)
class Alternatives:
    """The next best counterpart of either side of a pair; None: there was no other."""

    for_mentee: Alternative | None
    for_mentor: Alternative | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a worker found, and by what."""

    result: Result
    input: bytes
    """Canonical."""
    state_hash: str
    mentions: Sequence[str]
    """Every employee who is named in the input."""
    coverage: Mapping[str, Any]
    """By department and level, see `coverage`."""
    near: Mapping[UUID, Mapping[UUID, Near]]
    """See `near.found_near`."""
    seconds: float
    peak_memory_mb: float


@dataclass(frozen=True, slots=True)
class Finding:
    """What a run came to once its pairs were proposed."""

    programme_version: int
    input_hash: str
    proposed: int
    dropped: int
    objective: float
    mentees_waiting: int
    mentors_waiting: int
    gap: float
    covered: int
    coverable: int
    unmatched: tuple[Unmatched, ...]


async def request_runs(
    tx: Transaction,
    runs: Collection[Couple],
    trigger: str,
    *,
    at_once: bool = False,
    asked: Request = PLAIN,
) -> dict[UUID, UUID]:
    """Ask for a run per (run id, programme); returns programme → the run that will answer it.

    A run that waits already answers this request too, unless this one is dry.
    """
    rows = await tx.connection.fetch(
        """
        INSERT INTO match_runs AS waiting (run_id, programme_id, trigger, state, at_once,
                                           requested_at, dry_run, replan, review, changes, apart,
                                           asked_by)
        SELECT run_id, programme_id, $3, 'requested', $4, $5, $6, $7, $8, $9, $10, $11
        FROM unnest($1::uuid[], $2::uuid[]) AS given (run_id, programme_id) ORDER BY programme_id
        ON CONFLICT (programme_id, state) WHERE state IN ('requested', 'running') AND NOT dry_run
        DO UPDATE SET
            at_once = waiting.at_once OR excluded.at_once,
            asked_at = excluded.asked_at,
            review = waiting.review OR excluded.review,
            apart = waiting.apart || excluded.apart,
            asked_by = coalesce(excluded.asked_by, waiting.asked_by),
            trigger = CASE WHEN excluded.at_once THEN excluded.trigger ELSE waiting.trigger END
        RETURNING programme_id, run_id
        """,
        [run_id for run_id, _ in runs],
        [programme_id for _, programme_id in runs],
        trigger,
        at_once,
        tx.now,
        asked.dry_run,
        asked.replan,
        asked.review,
        dict(asked.changes),
        _plain(asked.apart),
        asked.asked_by,
    )
    return {row["programme_id"]: row["run_id"] for row in rows}


async def programmes_with_due_runs(database: Database, debounce_seconds: float) -> list[UUID]:
    """Programmes with a run that is due, or that was running when its process died."""
    rows = await database.pool.fetch(
        """
        SELECT DISTINCT programme_id FROM match_runs
        WHERE state IN ('running', 'approved') OR state = 'requested'
            AND (at_once OR asked_at <= clock_timestamp() - make_interval(secs => $1)
                 OR first_asked_at <= clock_timestamp() - make_interval(secs => $1 * $2))
        """,
        debounce_seconds,
        _WAITS_AT_MOST,
    )
    return [row["programme_id"] for row in rows]


@asynccontextmanager
async def sole_runner(database: Database, programme_id: UUID) -> AsyncIterator[bool]:
    """Whether this process alone runs the programme; the lock dies with its connection."""
    key = f"{database.service}:match-run:{programme_id}"
    async with database.pool.acquire() as connection:
        mine = await connection.fetchval(
            "SELECT pg_try_advisory_lock(hashtextextended($1, 0))", key
        )
        try:
            yield bool(mine)
        finally:
            if mine and not connection.is_closed():
                await connection.execute("SELECT pg_advisory_unlock(hashtextextended($1, 0))", key)


async def take_run(tx: Transaction, programme_id: UUID) -> Run | None:
    """Start the programme's due run, or take up the one that a dead process left; None: neither."""
    row = await tx.connection.fetchrow(
        """
        UPDATE match_runs SET state = 'running', started_at = coalesce(started_at, $2),
                              attempts = attempts + (programme_version IS NULL)::integer
        WHERE run_id = (
            SELECT run_id FROM match_runs
            WHERE programme_id = $1 AND state IN ('running', 'approved', 'requested')
            ORDER BY array_position(ARRAY['running', 'approved', 'requested'], state),
                     dry_run, requested_at, run_id
            LIMIT 1)
        RETURNING *
        """,
        programme_id,
        tx.now,
    )
    return _run(row) if row else None


async def running(tx: Transaction, run_id: UUID, *, attempts: int) -> Run | None:
    """The run, if it is still to be carried out by this attempt."""
    row = await tx.connection.fetchrow(
        "SELECT * FROM match_runs WHERE run_id = $1 AND state = 'running' AND attempts = $2",
        run_id,
        attempts,
    )
    return _run(row) if row else None


async def note_progress(database: Database, run_id: UUID, doing: str, share: float) -> bool:
    """Say how far a run is; returns whether it is to go on."""
    found = await database.pool.fetchval(
        "UPDATE match_runs SET doing = $2, share = $3 WHERE run_id = $1 AND state = 'running'"
        " RETURNING true",
        run_id,
        doing,
        share,
    )
    return bool(found)


async def close_run(
    tx: Transaction, run_id: UUID, state: str, *, failure: str | None = None
) -> bool:
    """End a running run without pairs: failed, unchanged or over; False where it is not running."""
    found = await tx.connection.fetchval(
        "UPDATE match_runs SET state = $2, completed_at = $3, failure = $4, doing = NULL,"
        " share = NULL WHERE run_id = $1 AND state = 'running' RETURNING true",
        run_id,
        state,
        tx.now,
        failure,
    )
    return bool(found)


async def cancel_run(tx: Transaction, run_id: UUID) -> bool:
    """Cancel a run that is not over; False where it is."""
    found = await tx.connection.fetchval(
        """
        UPDATE match_runs SET state = 'cancelled', completed_at = $2, doing = NULL, share = NULL
        WHERE run_id = $1 AND state IN ('requested', 'running', 'review', 'approved')
        RETURNING true
        """,
        run_id,
        tx.now,
    )
    return bool(found)


async def cancel_forgotten_reviews(tx: Transaction) -> list[UUID]:
    """Cancel reviews that took longer than a person has for an answer; returns their programmes."""
    rows = await tx.connection.fetch(
        """
        UPDATE match_runs SET state = 'cancelled', completed_at = $1
        FROM programmes
        WHERE match_runs.programme_id = programmes.programme_id AND state = 'review'
          AND requested_at < $1::timestamptz
              - make_interval(days => (rules ->> 'proposal_expiry_days')::integer)
        RETURNING programmes.programme_id
        """,
        tx.now,
    )
    return [row["programme_id"] for row in rows]


async def last_state_hash(tx: Transaction, programme_id: UUID) -> str | None:
    """What the programme's last run decided by that had nobody but the rules to please."""
    found: str | None = await tx.connection.fetchval(
        "SELECT state_hash FROM match_runs WHERE programme_id = $1 AND state = 'completed'"
        " AND NOT dry_run AND NOT review ORDER BY completed_at DESC LIMIT 1",
        programme_id,
    )
    return found


async def keep_outcome(tx: Transaction, run: Run, found: Outcome) -> None:
    """Store what a run found: as drafts that wait for a manager, or are to be proposed.

    Whatever this transaction did is to be undone where `mark_solved` says no.
    """
    result = found.result
    await tx.connection.execute("DELETE FROM run_pairs WHERE run_id = $1", run.run_id)
    for first in range(0, len(result.matches), _ROWS_AT_ONCE):
        if first:
            # Whoever commits meanwhile waits until the disk has all that was written before.
            await asyncio.sleep(_REST_SECONDS)
        await _copy_pairs(tx, run, found, range(first, first + _ROWS_AT_ONCE))
    await tx.connection.execute(
        "INSERT INTO run_archives (run_id, input, prices, mentions) VALUES ($1, $2, $3, $4)"
        " ON CONFLICT (run_id) DO UPDATE SET"
        " input = excluded.input, prices = excluded.prices, mentions = excluded.mentions",
        run.run_id,
        gzip.compress(found.input, mtime=0),
        gzip.compress(_prices_text(result.prices), mtime=0),
        list(found.mentions),
    )
    if not run.asked.dry_run:
        await _explain_unmatched(tx, run, result)


async def _copy_pairs(tx: Transaction, run: Run, found: Outcome, places: range) -> None:
    await tx.connection.copy_records_to_table(
        "run_pairs",
        columns=[
            *("run_id", "place", "mentor_id", "mentee_id", "score", "breakdown", "topics"),
            *("instead", "near"),
        ],
        records=(
            (
                *(run.run_id, place, match.mentor_id, match.mentee_id, match.fit.score),
                [asdict(part) for part in match.fit.breakdown],
                match.fit.topics,
                {
                    side: other and asdict(other)
                    for side, other in (
                        ("mentee", match.instead_for_mentee),
                        ("mentor", match.instead_for_mentor),
                    )
                },
                found.near.get(match.mentor_id, {}).get(match.mentee_id),
            )
            for place, match in zip(
                places, found.result.matches[places.start : places.stop], strict=False
            )
        ),
    )


async def mark_solved(tx: Transaction, run: Run, found: Outcome) -> bool:
    """Say that the run is solved; False where another attempt, or nobody, is to do so.

    The caller holds the programme's lock: an erasure either comes after, or is seen here.
    """
    result = found.result
    waiting = [each.role for each in result.unmatched]
    marked = await tx.connection.fetchval(
        """
        UPDATE match_runs SET
            state = CASE WHEN dry_run THEN 'completed' WHEN review AND $3 THEN 'review'
                         ELSE state END,
            completed_at = CASE WHEN dry_run THEN $4::timestamptz END,
            proposed = CASE WHEN dry_run THEN 0 END, doing = NULL, share = NULL,
            certificate = $5, refused_locks = $6, coverage = $7, seconds = $8,
            peak_memory_mb = $9, mentees_waiting = $10, mentors_waiting = $11,
            programme_version = $12, input_hash = $13, state_hash = $14,
            not_examined = $15, bottlenecks = $16
        WHERE run_id = $1 AND state = 'running' AND attempts = $2
        RETURNING true
        """,
        run.run_id,
        run.attempts,
        bool(result.matches),
        tx.now,
        asdict(result.certificate),
        [asdict(lock) for lock in result.refused_locks],
        found.coverage,
        found.seconds,
        found.peak_memory_mb,
        waiting.count("mentee"),
        waiting.count("mentor"),
        result.certificate.rules_version,
        result.certificate.input_hash,
        found.state_hash,
        result.not_examined,
        [asdict(short) for short in result.bottlenecks],
    )
    if not marked:
        return False
    erased = await tx.connection.fetch(
        "SELECT employee_id FROM employees WHERE erased AND employee_id = ANY($1)",
        list(found.mentions),
    )
    await forget_people(tx, [row["employee_id"] for row in erased])
    return True


async def forget_people(tx: Transaction, employee_ids: Collection[str]) -> None:
    """Keep nothing of erased people that a run found, nor the inputs that name them."""
    if not employee_ids:
        return
    await tx.connection.execute(
        "UPDATE run_archives SET input = NULL, prices = NULL, mentions = '{}'"
        " WHERE mentions && $1::text[]",
        list(employee_ids),
    )
    await tx.connection.execute(
        """
        DELETE FROM run_pairs USING participants
        WHERE employee_id = ANY($1) AND participant_id IN (mentor_id, mentee_id)
        """,
        list(employee_ids),
    )
    await tx.connection.execute(
        """
        DELETE FROM unmatched WHERE participant_id IN (
            SELECT participant_id FROM unmatched JOIN participants USING (participant_id)
            WHERE employee_id = ANY($1)
            -- who writes one of these now waits for our locks, and then does this, too
            FOR UPDATE OF unmatched SKIP LOCKED)
        """,
        list(employee_ids),
    )


async def forget_old_outcomes(database: Database, *, keep_days: int) -> None:
    """Delete what runs were verified by, and their drafts, after so many real days."""
    async with database.transaction() as tx:
        if await tx.try_lock("forget-outcomes"):
            await tx.connection.execute(
                """
                WITH old AS (
                    DELETE FROM run_archives USING match_runs
                    WHERE run_archives.run_id = match_runs.run_id
                      AND kept_at < clock_timestamp() - make_interval(days => $1)
                      AND state NOT IN ('running', 'review', 'approved')
                    RETURNING run_archives.run_id
                ) DELETE FROM run_pairs USING old WHERE run_pairs.run_id = old.run_id
                """,
                keep_days,
            )


async def drafts_to_propose(tx: Transaction, run_id: UUID, limit: int) -> list[Draft]:
    """The best of the run's pairs whose fate is open."""
    rows = await tx.connection.fetch(
        "SELECT * FROM run_pairs WHERE run_id = $1 AND (fate IS NULL OR fate = 'approved')"
        " ORDER BY place LIMIT $2",
        run_id,
        limit,
    )
    return [_draft(row) for row in rows]


async def near_of_proposals(tx: Transaction, pairs: Iterable[Pair]) -> dict[UUID, Near]:
    """What their runs took as near, of those of these pairs that are proposals, by pair id."""
    proposed = [pair.pair_id for pair in pairs if pair.status == "proposed"]
    if not proposed:
        return {}
    rows = await tx.connection.fetch(
        "SELECT pair_id, near FROM run_pairs WHERE pair_id = ANY($1) AND near IS NOT NULL",
        proposed,
    )
    return {row["pair_id"]: row["near"] for row in rows}


async def tell_fates(
    tx: Transaction, run_id: UUID, fates: Sequence[tuple[int, str, UUID | None]]
) -> None:
    """Say what became of drafts: (place, `proposed` or the rule that forbids it, pair id)."""
    # One statement, since events wait meanwhile.
    await tx.connection.execute(
        """
        WITH told AS (
            UPDATE run_pairs SET fate = given.fate, pair_id = given.pair_id
            FROM unnest($2::integer[], $3::text[], $4::uuid[]) AS given (place, fate, pair_id)
            WHERE run_id = $1 AND run_pairs.place = given.place)
        UPDATE match_runs SET doing = 'proposing',
            share = $5::float / greatest(1, (certificate ->> 'pairs')::integer)
        WHERE run_id = $1
        """,
        run_id,
        *(list(column) for column in zip(*fates, strict=True)),
        max(place for place, _, _ in fates) + 1,
    )


async def complete_run(tx: Transaction, run_id: UUID, *, most_unmatched: int) -> Finding:
    """All drafts have their fate; returns what there is to say of the run."""
    row = await tx.connection.fetchrow(
        """
        WITH figures AS (
            SELECT count(*) FILTER (WHERE fate = 'proposed') AS proposed,
                   count(*) FILTER (WHERE fate NOT IN ('proposed', 'rejected')) AS dropped,
                   coalesce(sum(score) FILTER (WHERE fate = 'proposed'), 0) AS objective
            FROM run_pairs WHERE run_id = $1)
        UPDATE match_runs SET state = 'completed', completed_at = $2, doing = NULL, share = NULL,
            proposed = figures.proposed, dropped = figures.dropped,
            objective = round(figures.objective::numeric, 4)
        FROM figures WHERE run_id = $1 RETURNING match_runs.*
        """,
        run_id,
        tx.now,
    )
    assert row is not None
    left_out = await tx.connection.fetch(
        "SELECT participant_id, role, reasons FROM unmatched JOIN participants"
        " USING (participant_id) WHERE run_id = $1 AND reasons IS NOT NULL"
        " ORDER BY participant_id LIMIT $2",
        run_id,
        most_unmatched,
    )
    certificate = row["certificate"]
    return Finding(
        **{name: row[name] for name in _FIGURES},
        **{name: certificate[name] for name in ("gap", "covered", "coverable")},
        unmatched=tuple(Unmatched(**each) for each in left_out),
    )


_FIGURES = (
    "programme_version", "input_hash", "proposed", "dropped", "objective", "mentees_waiting",
    "mentors_waiting",
)  # fmt: skip


async def _explain_unmatched(tx: Transaction, run: Run, result: Result) -> None:
    """Keep why these people have no partner, and what would help, in place of what was said."""
    reasons = {each.participant_id: each.reasons for each in result.unmatched}
    remedies = {each.participant_id: each for each in result.remedies}
    await tx.connection.execute(
        "DELETE FROM unmatched USING participants WHERE reasons IS NULL AND programme_id = $1"
        " AND unmatched.participant_id = participants.participant_id",
        run.programme_id,
    )
    await tx.connection.execute(
        """
        INSERT INTO unmatched (participant_id, run_id, reasons, remedy, explained_at)
        SELECT participant_id, $2, reasons, remedy, $3
        FROM jsonb_to_recordset($1) AS given (participant_id uuid, reasons jsonb, remedy jsonb)
        ORDER BY participant_id
        ON CONFLICT (participant_id) DO UPDATE SET
            run_id = excluded.run_id, reasons = excluded.reasons, remedy = excluded.remedy,
            explained_at = excluded.explained_at
        """,
        [
            {
                "participant_id": str(participant_id),
                "reasons": reasons.get(participant_id),
                "remedy": asdict(remedies[participant_id]) if participant_id in remedies else None,
            }
            for participant_id in reasons.keys() | remedies.keys()
        ],
        run.run_id,
        tx.now,
    )


def remedy_of(row: asyncpg.Record) -> Remedy | None:
    """What would serve somebody, from the column `remedy`."""
    plain = row["remedy"]
    if plain is None:
        return None
    changes = tuple(
        Change(**each | {"participant_id": whose and UUID(whose)})
        for each in plain["changes"]
        for whose in [each["participant_id"]]
    )
    return Remedy(**plain | {"participant_id": UUID(plain["participant_id"]), "changes": changes})


async def alternatives(tx: Transaction, pair: Pair) -> Alternatives | None:
    """The next best for either side of a pair, by the run that found it; None: no longer kept."""
    instead = await tx.connection.fetchval(
        "SELECT instead FROM run_pairs WHERE run_id = $1 AND mentor_id = $2 AND mentee_id = $3",
        pair.run_id,
        pair.mentor_id,
        pair.mentee_id,
    )
    if instead is None:
        return None
    return Alternatives(_alternative(instead["mentee"]), _alternative(instead["mentor"]))


async def run_row(tx: Transaction, run_id: UUID) -> asyncpg.Record | None:
    """A run as the API shows it."""
    return await tx.connection.fetchrow(
        "SELECT match_runs.*, run_archives.input IS NOT NULL AS verifiable,"
        " kept_at IS NOT NULL AS kept FROM match_runs"
        " LEFT JOIN run_archives USING (run_id) WHERE run_id = $1",
        run_id,
    )


async def run_rows(tx: Transaction, programme_id: UUID, limit: int) -> list[asyncpg.Record]:
    """The newest runs of a programme, newest first, but for those that had nothing to do."""
    return await tx.connection.fetch(
        """
        SELECT match_runs.*, run_archives.input IS NOT NULL AS verifiable FROM match_runs
        LEFT JOIN run_archives USING (run_id)
        WHERE programme_id = $1 AND state <> 'unchanged'
        ORDER BY requested_at DESC, run_id DESC LIMIT $2
        """,
        programme_id,
        limit,
    )


async def waiting_dry_runs(tx: Transaction, programme_id: UUID) -> int:
    """How many dry runs of the programme are still to be carried out."""
    count: int = await tx.connection.fetchval(
        "SELECT count(*) FROM match_runs WHERE programme_id = $1 AND state = 'requested'"
        " AND dry_run",
        programme_id,
    )
    return count


async def pair_rows(
    tx: Transaction, run_id: UUID, *, after: int, limit: int
) -> list[asyncpg.Record]:
    """The pairs that a run found, best score first, from behind a place."""
    return await tx.connection.fetch(
        "SELECT * FROM run_pairs WHERE run_id = $1 AND place > $2 ORDER BY place LIMIT $3",
        run_id,
        after,
        limit,
    )


async def strangers(tx: Transaction, run_id: UUID, couples: Collection[Couple]) -> list[Couple]:
    """Those of these couples that the run did not find."""
    rows = await tx.connection.fetch(
        """
        SELECT * FROM unnest($2::uuid[], $3::uuid[]) AS given (mentor_id, mentee_id)
        EXCEPT SELECT mentor_id, mentee_id FROM run_pairs WHERE run_id = $1
        """,
        run_id,
        [mentor for mentor, _ in couples],
        [mentee for _, mentee in couples],
    )
    return [(row["mentor_id"], row["mentee_id"]) for row in rows]


async def approve(
    tx: Transaction, run_id: UUID, couples: Collection[Couple] | None, approved_by: str
) -> list[Couple] | None:
    """Approve these pairs of a run, None for all, and reject the rest; returns what is rejected.

    None where the run does not wait for it. Who are rejected are no longer locked together: the
    last word counts.
    """
    programme_id = await tx.connection.fetchval(
        "UPDATE match_runs SET state = 'approved', approved_by = $2"
        " WHERE run_id = $1 AND state = 'review' RETURNING programme_id",
        run_id,
        approved_by,
    )
    if programme_id is None:
        return None
    rows = await tx.connection.fetch(
        """
        WITH chosen AS (
            SELECT * FROM unnest($2::uuid[], $3::uuid[]) AS given (mentor_id, mentee_id)
        ), decided AS (
            UPDATE run_pairs SET fate = CASE
                WHEN $4 OR (mentor_id, mentee_id) IN (SELECT mentor_id, mentee_id FROM chosen)
                THEN 'approved' ELSE 'rejected' END
            WHERE run_id = $1 RETURNING mentor_id, mentee_id, fate
        ), rejected AS (
            SELECT mentor_id, mentee_id FROM decided WHERE fate = 'rejected'
        ), unlocked AS (
            DELETE FROM pair_locks AS locked USING rejected
            WHERE programme_id = $5 AND kind = 'together'
              AND locked.mentor_id = rejected.mentor_id AND locked.mentee_id = rejected.mentee_id
            RETURNING locked.mentor_id, locked.mentee_id
        ), logged AS (
            INSERT INTO pair_lock_log (programme_id, mentor_id, mentee_id, kind, set_by, set_at)
            SELECT $5, mentor_id, mentee_id, NULL, $6, $7 FROM unlocked
        ) SELECT mentor_id, mentee_id FROM rejected ORDER BY mentor_id, mentee_id
        """,
        run_id,
        [mentor for mentor, _ in couples or ()],
        [mentee for _, mentee in couples or ()],
        couples is None,
        programme_id,
        approved_by,
        tx.now,
    )
    return [(row["mentor_id"], row["mentee_id"]) for row in rows]


async def figures(tx: Transaction, run_id: UUID) -> asyncpg.Record:
    """How the pairs of a run score: sum, mean, worst and the twentieth part that scores least."""
    row = await tx.connection.fetchrow(
        """
        SELECT count(*) AS pairs, coalesce(sum(score), 0) AS total_score, avg(score) AS mean_score,
               min(score) AS worst_score,
               percentile_cont(0.05) WITHIN GROUP (ORDER BY score) AS p5_score
        FROM run_pairs WHERE run_id = $1
        """,
        run_id,
    )
    assert row is not None
    return row


async def churn(tx: Transaction, left: UUID, right: UUID) -> asyncpg.Record:
    """How many pairs two runs have in common, and how many only one of them has."""
    row = await tx.connection.fetchrow(
        """
        SELECT count(*) FILTER (WHERE a.run_id IS NOT NULL AND b.run_id IS NOT NULL) AS common,
               count(*) FILTER (WHERE b.run_id IS NULL) AS only_left,
               count(*) FILTER (WHERE a.run_id IS NULL) AS only_right
        FROM (SELECT * FROM run_pairs WHERE run_id = $1) a
        FULL JOIN (SELECT * FROM run_pairs WHERE run_id = $2) b
            ON a.mentor_id = b.mentor_id AND a.mentee_id = b.mentee_id
        """,
        left,
        right,
    )
    assert row is not None
    return row


async def evidence(tx: Transaction, run_id: UUID) -> str | None:
    """What a run is verified by, as one JSON text: made by the database, since it may be large."""
    found: str | None = await tx.connection.fetchval(
        """
        SELECT json_build_object(
            'run_id', run_id, 'programme_id', programme_id, 'certificate', certificate,
            'erased', input IS NULL,
            'input', encode(input, 'base64'), 'prices', encode(prices, 'base64'),
            'matches', coalesce((
                SELECT json_agg(json_build_object('mentor_id', mentor_id, 'mentee_id', mentee_id,
                                                  'score', score) ORDER BY place)
                FROM run_pairs WHERE run_pairs.run_id = match_runs.run_id), '[]'))::text
        FROM match_runs JOIN run_archives USING (run_id)
        WHERE run_id = $1 AND certificate IS NOT NULL
        """,
        run_id,
    )
    return found


def _run(row: asyncpg.Record) -> Run:
    return Run(
        run_id=row["run_id"],
        programme_id=row["programme_id"],
        trigger=row["trigger"],
        attempts=row["attempts"],
        started_at=row["started_at"],
        asked=Request(
            dry_run=row["dry_run"],
            replan=row["replan"],
            review=row["review"],
            changes=row["changes"],
            apart=tuple((UUID(mentor), UUID(mentee)) for mentor, mentee in row["apart"]),
            asked_by=row["asked_by"],
        ),
        programme_version=row["programme_version"],
    )


def _draft(row: asyncpg.Record) -> Draft:
    instead = row["instead"]
    return Draft(
        row["place"],
        Match(
            row["mentor_id"],
            row["mentee_id"],
            Fit(
                row["score"],
                tuple(Contribution(**part) for part in row["breakdown"]),
                tuple(row["topics"]),
            ),
            _alternative(instead["mentee"]),
            _alternative(instead["mentor"]),
        ),
        row["near"],
    )


def _alternative(plain: dict[str, Any] | None) -> Alternative | None:
    if plain is None:
        return None
    return Alternative(**plain | {"participant_id": UUID(plain["participant_id"])})


def _plain(couples: Iterable[Couple]) -> list[list[str]]:
    return [[str(mentor), str(mentee)] for mentor, mentee in couples]


def _prices_text(prices: Prices) -> bytes:
    sides = {
        side: {str(each): price for each, price in getattr(prices, side).items()}
        for side in ("mentees", "mentors")
    }
    return json.dumps(sides, sort_keys=True, separators=(",", ":")).encode()
