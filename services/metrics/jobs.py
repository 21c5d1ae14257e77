"""Programmes that are out of date are measured anew: soon after news, and by the clock."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence
from uuid import UUID

from services.metrics.domain.definitions import BASES, BY_NAME, KPIS, Basis
from services.metrics.domain.measuring import Measure, MeasureKey, measure, restated
from services.metrics.store import measures as measure_store
from services.metrics.store import recalling, remembering
from shared.catalogue import KpiMeasured, Period
from shared.database import Database, Transaction

_SHORT_SECONDS: Mapping[Basis, float] = {"programme": 0.01, "arrivals": 0.1}
_MOST_REST = 9
_LONGEST_REST_SECONDS = 20.0
_LONGEST_WORK_SECONDS = 10.0


async def measure_when_told(database: Database, basis: Basis, *, at_most_seconds: float) -> None:
    """Measure at each news of facts of a basis, with rests, until so many seconds have passed."""
    ends = time.monotonic() + at_most_seconds
    async with remembering.news_of_facts(database, basis) as news:
        with contextlib.suppress(TimeoutError):
            while True:
                news.clear()
                began = time.monotonic()
                await measure_programmes(database, [basis])
                await asyncio.sleep(_rest_seconds(basis, time.monotonic() - began))
                await asyncio.wait_for(news.wait(), ends - time.monotonic())


def _rest_seconds(basis: Basis, worked: float) -> float:
    """How long to leave the processors to others after so many seconds of work.

    Short work may come often. The longer it takes, because there is much to count or because the
    machine is busy, the smaller its share: in a stream of news a tenth in the end.
    """
    times = min(worked / _SHORT_SECONDS[basis], _MOST_REST)
    return min(worked * times, _LONGEST_REST_SECONDS)


async def measure_programmes(database: Database, bases: Sequence[Basis] = BASES) -> None:
    """Measure programmes with new facts, and each once a day: some KPIs change by time alone.

    What is left after some seconds waits for the next time, and comes first then.
    """
    enough = time.monotonic() + _LONGEST_WORK_SECONDS
    for basis in bases:
        for programme_id in await remembering.programmes_due(basis, database):
            async with database.transaction() as tx:
                await _measure(programme_id, basis, tx)
            if time.monotonic() > enough:
                return


async def _measure(programme_id: UUID, basis: Basis, tx: Transaction) -> None:
    marks = await remembering.marks_of(programme_id, basis, tx)
    if marks is None:
        return
    facts = await recalling.facts_of(programme_id, basis, tx)
    if facts is None:
        return
    kpis = {kpi.name: kpi for kpi in KPIS if kpi.basis == basis}
    # In a thread: the consumer must not wait for it.
    measures = await asyncio.to_thread(measure, facts, tx.now, kpis.values())
    before = await measure_store.published_measures(programme_id, tx, kpis)
    changed = restated({one.key: one.measure for one in before}, measures)
    await measure_store.keep_measures(programme_id, changed, tx)
    await remembering.note_measured(programme_id, basis, marks, tx)
    _publish(programme_id, changed, tx)


def _publish(programme_id: UUID, measures: Mapping[MeasureKey, Measure], tx: Transaction) -> None:
    for key, one in measures.items():
        tx.publish(
            KpiMeasured(
                programme_id=programme_id,
                kpi=key.kpi,
                definition_version=one.version,
                period=Period(kind=key.window.kind, start=key.window.start, end=key.window.end),
                dimension=key.dimension,
                group=key.group,
                numerator=one.figures.numerator,
                denominator=one.figures.denominator,
                value=one.figures.value,
                unit=BY_NAME[key.kpi].unit,
                suppressed=one.suppressed,
                interval_low=one.figures.interval_low,
                interval_high=one.figures.interval_high,
                measured_at=tx.now,
            )
        )
