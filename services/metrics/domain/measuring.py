"""All measures of a programme at a moment, small groups hidden."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from services.metrics.domain.definitions import KPIS, Dimension, Kpi
from services.metrics.domain.facts import Facts
from services.metrics.domain.figures import Figures, settled
from services.metrics.domain.observations import Observation
from services.metrics.domain.periods import View, Window, windows
from services.metrics.domain.suppression import People, hidden, too_small, union

K = TypeVar("K")

_DECIMALS = 6
_HIDDEN = Figures(None, None, None)
# Whether somebody left can be told from other KPIs; the other reasons add up to completion_rate's
# early ends and so lie on a line of their own.
_LEAVER = "leaver"


@dataclass(frozen=True, slots=True)
class MeasureKey:
    """What is measured."""

    kpi: str
    window: Window
    dimension: Dimension
    group: str


@dataclass(frozen=True, slots=True)
class Measure:
    """The figures of one KPI, period and group; all None where suppressed."""

    figures: Figures
    version: int
    """Of the KPI's definition."""
    suppressed: bool = False


Measures = dict[MeasureKey, Measure]


@dataclass(frozen=True, slots=True)
class _Cell:
    figures: Figures
    people: People


def measure(facts: Facts, now: datetime, kpis: Iterable[Kpi] = KPIS) -> Measures:
    """The measures of these KPIs of a programme, for all periods and groups."""
    whole, *months = [View(facts, window, now) for window in windows(facts, now)]
    found: Measures = {}
    for kpi in kpis:
        found |= _measures(kpi, whole, months if kpi.monthly else [])
    return found


def _measures(kpi: Kpi, whole: View, months: Sequence[View]) -> Measures:
    minimum = whole.facts.programme.min_group_size if kpi.personal else 0
    groups = _cells(kpi, whole, kpi.dimensions)
    measures: Measures = {}
    total = groups.get("all", {}).get("all")
    nothing_shown = total is not None and too_small(total.people, minimum)
    for dimension, found in groups.items():
        cells, secret = (
            _reasons(found, minimum)
            if dimension == "reason"
            else (found, hidden(_people(found), minimum))
        )
        for group, cell in cells.items():
            key = MeasureKey(kpi.name, whole.window, dimension, group)
            measures[key] = _shown(kpi, cell, hide=nothing_shown or group in secret)
    series = {view.window: _cells(kpi, view, ("all",))["all"]["all"] for view in months}
    secret_months = hidden(_people(series), minimum, add_up=kpi.adds_up)
    for window, cell in series.items():
        key = MeasureKey(kpi.name, window, "all", "all")
        measures[key] = _shown(kpi, cell, hide=nothing_shown or window in secret_months)
    return measures


def _cells(
    kpi: Kpi, view: View, dimensions: Sequence[Dimension]
) -> dict[Dimension, dict[str, _Cell]]:
    """Figures by dimension and group; `all` is there even when nothing was observed."""
    observed: dict[Dimension, dict[str, list[Observation]]] = {name: {} for name in dimensions}
    if "all" in observed:
        observed["all"]["all"] = []
    for one in kpi.observe(view):
        for dimension in dimensions:
            group = one.groups.get(dimension)
            if group is not None:
                observed[dimension].setdefault(group, []).append(one)
    return {
        dimension: {
            group: _Cell(kpi.combine(members), _shown_people(members))
            for group, members in sorted(by_group.items())
        }
        for dimension, by_group in observed.items()
    }


def _shown_people(observations: Sequence[Observation]) -> People:
    width = max((len(one.people) for one in observations), default=0)
    shown = [one.people for one in settled(observations) if one.people]
    return tuple(
        frozenset(person for people in shown if (person := people[side]) is not None)
        for side in range(width)
    )


def _reasons(cells: dict[str, _Cell], minimum: int) -> tuple[dict[str, _Cell], frozenset[str]]:
    """The reasons that may be named, and those of them whose figures are hidden.

    When all that is hidden is still too few people, completion_rate tells how many they are; then
    not even their reasons are named.
    """
    leavers = {group: cell for group, cell in cells.items() if group == _LEAVER}
    others = {group: cell for group, cell in cells.items() if group != _LEAVER}
    secret = hidden(_people(others), minimum)
    if too_small(union(others[group].people for group in secret), minimum):
        others = {group: cell for group, cell in others.items() if group not in secret}
    return leavers | others, secret | hidden(_people(leavers), minimum)


def _people(cells: Mapping[K, _Cell]) -> dict[K, People]:
    return {key: cell.people for key, cell in cells.items()}


def _shown(kpi: Kpi, cell: _Cell, *, hide: bool) -> Measure:
    figures = _HIDDEN if hide else _rounded(cell.figures)
    return Measure(figures, kpi.version, suppressed=hide)


def _rounded(figures: Figures) -> Figures:
    """Figures that do not change by the order of a sum."""
    return Figures(
        *(
            None if figure is None else round(figure, _DECIMALS)
            for figure in (
                figures.numerator,
                figures.denominator,
                figures.value,
                figures.interval_low,
                figures.interval_high,
            )
        )
    )


def restated(before: Mapping[MeasureKey, Measure], after: Measures) -> Measures:
    """What must be published: new and changed measures, and those that are measured no more.

    The last are published as suppressed: a reader must not go on with a figure that is gone.
    """
    changed = {key: one for key, one in after.items() if before.get(key) != one}
    for key in sorted(set(before) - set(after), key=repr):
        if not before[key].suppressed:
            changed[key] = Measure(_HIDDEN, before[key].version, suppressed=True)
    return changed
