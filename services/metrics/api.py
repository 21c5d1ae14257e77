"""HTTP in: the KPIs of a programme."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query
from pydantic import BaseModel

from services.metrics.domain.definitions import BY_NAME, Dimension
from services.metrics.store.measures import Published, published_measures
from services.metrics.store.recalling import programme_of
from shared.catalogue import Period
from shared.http import Tx, new_router, require
from shared.problems import Problem

router = new_router("KPIs", without=(409,))


class KpiAnswer(BaseModel):
    """One KPI of one period and group, with what it means."""

    kpi: str
    definition: str
    definition_version: int
    unit: str
    period: Period
    dimension: Dimension
    group: str
    numerator: float | None
    denominator: float | None
    value: float | None
    interval_low: float | None
    interval_high: float | None
    suppressed: bool
    target: float | None
    measured_at: datetime


@router.get(
    "/programmes/{programme_id}/kpis",
    dependencies=[Depends(require("programme_manager", "auditor"))],
)
async def kpis_of_programme(
    programme_id: UUID,
    tx: Tx,
    kpi: Annotated[str | None, Query(description="Only this KPI.")] = None,
    period: Annotated[
        str | None,
        Query(
            description="`programme`, `month` for all months, or the first day of one month.",
            pattern=r"^(programme|month|\d{4}-\d{2}-\d{2})$",
        ),
    ] = None,
    dimension: Annotated[Dimension | None, Query(description="Only this dimension.")] = None,
) -> list[KpiAnswer]:
    """The newest measures: the programme first, then its months, oldest first."""
    if kpi is not None and kpi not in BY_NAME:
        raise Problem(
            404, "kpi", "There is no KPI of this name.", remedy=f"Use one of: {', '.join(BY_NAME)}."
        )
    programme = await programme_of(programme_id, tx)
    if programme is None:
        raise Problem(
            404, "programme_id", "There is no programme with this id.", remedy="Check the id."
        )
    return [
        _answer(one, programme.kpi_targets.get(one.key.kpi))
        for one in await published_measures(programme_id, tx)
        if kpi in (None, one.key.kpi)
        and dimension in (None, one.key.dimension)
        and _in_period(one, period)
    ]


def _in_period(one: Published, period: str | None) -> bool:
    window = one.key.window
    if period in (None, window.kind):
        return True
    return window.kind == "month" and period == window.start.isoformat()


def _answer(one: Published, target: float | None) -> KpiAnswer:
    key, figures = one.key, one.measure.figures
    definition = BY_NAME[key.kpi]
    return KpiAnswer(
        kpi=key.kpi,
        definition=definition.sentence,
        definition_version=one.measure.version,
        unit=definition.unit,
        period=Period(kind=key.window.kind, start=key.window.start, end=key.window.end),
        dimension=key.dimension,
        group=key.group,
        numerator=figures.numerator,
        denominator=figures.denominator,
        value=figures.value,
        interval_low=figures.interval_low,
        interval_high=figures.interval_high,
        suppressed=one.measure.suppressed,
        target=target if key.dimension == "all" else None,
        measured_at=one.measured_at,
    )
