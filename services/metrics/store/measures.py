"""What was published last, and the measures as a reader asks for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.metrics.domain.definitions import BY_NAME
from services.metrics.domain.figures import Figures
from services.metrics.domain.measuring import Measure, MeasureKey
from services.metrics.domain.periods import Window
from shared.database import Transaction


@dataclass(frozen=True, slots=True)
class Published:
    """A measure as it was published."""

    key: MeasureKey
    measure: Measure
    measured_at: datetime


async def published_measures(
    programme_id: UUID, tx: Transaction, kpis: Iterable[str] = tuple(BY_NAME)
) -> list[Published]:
    """A programme's measures of these KPIs: the programme first, then months, oldest first."""
    rows = await tx.connection.fetch(
        """
        SELECT kpi, period_kind, period_start, period_end, dimension, group_name,
               definition_version, numerator, denominator, value, interval_low, interval_high,
               suppressed, measured_at
        FROM measures WHERE programme_id = $1 AND kpi = ANY($2)
        ORDER BY period_kind DESC, period_start, kpi, dimension, group_name
        """,
        programme_id,
        list(kpis),
    )
    return [
        Published(
            MeasureKey(
                row["kpi"],
                Window(row["period_kind"], row["period_start"], row["period_end"]),
                row["dimension"],
                row["group_name"],
            ),
            Measure(
                Figures(
                    row["numerator"],
                    row["denominator"],
                    row["value"],
                    row["interval_low"],
                    row["interval_high"],
                ),
                row["definition_version"],
                row["suppressed"],
            ),
            row["measured_at"],
        )
        for row in rows
    ]


async def keep_measures(
    programme_id: UUID, measures: Mapping[MeasureKey, Measure], tx: Transaction
) -> None:
    """Remember what is published now."""
    await tx.connection.execute(
        """
        INSERT INTO measures (
            programme_id, kpi, period_kind, period_start, period_end, dimension, group_name,
            definition_version, numerator, denominator, value, interval_low, interval_high,
            suppressed, measured_at)
        SELECT $1, kpi, period_kind, period_start, period_end, dimension, group_name,
               definition_version, numerator, denominator, value, interval_low, interval_high,
               suppressed, $3
        FROM jsonb_to_recordset($2) AS m(
            kpi text, period_kind text, period_start date, period_end date, dimension text,
            group_name text, definition_version int, numerator float8, denominator float8,
            value float8, interval_low float8, interval_high float8, suppressed boolean)
        ON CONFLICT (programme_id, kpi, period_kind, period_start, dimension, group_name)
        DO UPDATE SET
            period_end = excluded.period_end, definition_version = excluded.definition_version,
            numerator = excluded.numerator, denominator = excluded.denominator,
            value = excluded.value, interval_low = excluded.interval_low,
            interval_high = excluded.interval_high, suppressed = excluded.suppressed,
            measured_at = excluded.measured_at
        """,
        programme_id,
        [_row(key, measure) for key, measure in measures.items()],
        tx.now,
    )


def _row(key: MeasureKey, measure: Measure) -> dict[str, object]:
    return {
        "kpi": key.kpi,
        "period_kind": key.window.kind,
        "period_start": key.window.start.isoformat(),
        "period_end": key.window.end.isoformat(),
        "dimension": key.dimension,
        "group_name": key.group,
        "definition_version": measure.version,
        "numerator": measure.figures.numerator,
        "denominator": measure.figures.denominator,
        "value": measure.figures.value,
        "interval_low": measure.figures.interval_low,
        "interval_high": measure.figures.interval_high,
        "suppressed": measure.suppressed,
    }
