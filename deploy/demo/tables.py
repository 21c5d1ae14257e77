"""The closing tables: what came of the six months, and where to look further."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from deploy.demo.outcome import Told
from deploy.demo.workforce import Workforce
from shared.catalogue import PairFact

MEMORY_LIMIT = 150 * 1024 * 1024
_WIDEST_REASON = 90
_PLACES = 8
_WARNINGS = 20


def source_of_people(workforce: Workforce) -> list[str]:
    """What was read, derived, left out and never read, one line each."""
    lines = [f"{workforce.name}: {len(workforce.people)} people"]
    lines += [f"  derived: {how}" for how in workforce.derived]
    if workforce.left_out:
        lines.append(f"  left out, as nothing tells it: {', '.join(workforce.left_out)}")
    if workforce.never_read:
        lines.append(f"  never read: {', '.join(workforce.never_read)}")
    if workforce.derived:
        lines.append("  played on top: who joins, what they say, and what HR tells later on")
    if workforce.bad_rows:
        places = [where for where, _ in workforce.bad_rows]
        shown = ", ".join(places[:_PLACES]) + (", …" if len(places) > _PLACES else "")
        lines.append(f"  bad rows, sent as they are: {shown} ({len(places)} in all)")
    lines += [f"  {warning}" for warning in workforce.warnings[:_WARNINGS]]
    if len(workforce.warnings) > _WARNINGS:
        lines.append(f"  and {len(workforce.warnings) - _WARNINGS} more of this kind")
    return lines


def funnel(told: Told, workforce: Workforce) -> list[tuple[str, int, int]]:
    """(stage, seniors, juniors): how many people came how far; "juniors" are possible mentors."""
    newest = {key: max(states, key=lambda s: s.version) for key, states in told.employees.items()}
    at_work = [one for one in newest.values() if one.status == "active" and not one.erased]
    low, high = workforce.mentor_max_level, workforce.mentee_min_level
    lives = [max(facts, key=lambda fact: fact.version) for facts in told.pairs.values()]
    met = {
        session.pair_id
        for session in told.sessions.values()
        if session.held and session.status in ("logged", "confirmed")
    }

    def people(role: str, **stages: Any) -> int:
        return sum(
            1
            for one in told.participants.values()
            if one.role == role and all(test(one) for test in stages.values())
        )

    def in_pairs(role: str, fits: Any) -> int:
        return len({getattr(life, f"{role}_id") for life in lives if fits(life)})

    rows = [
        (
            "employees at work, by level",
            sum(one.job_level >= high for one in at_work),
            sum(one.job_level <= low for one in at_work),
        )
    ]
    for stage, test in (
        ("invited", lambda one: one.invited_at is not None),
        ("enrolled", lambda one: one.enrolled_at is not None),
        ("ready", lambda one: one.ready_at is not None),
    ):
        rows.append((stage, people("mentee", test=test), people("mentor", test=test)))
    for stage, fits in (
        ("proposed to someone", lambda _: True),
        ("in a pair", lambda life: life.created_at is not None),
        ("with a session", lambda life: life.pair_id in met),
        ("completed", lambda life: life.status == "completed"),
    ):
        rows.append((stage, in_pairs("mentee", fits), in_pairs("mentor", fits)))
    return rows


def show_funnel(console: Console, rows: Sequence[tuple[str, int, int]]) -> None:
    """Print the funnel with a bar per stage."""
    table = Table("stage", title="From employees to completed pairs")
    for name in ("seniors", "juniors"):
        table.add_column(name, justify="right")
    table.add_column("")
    widest = max((seniors + juniors for _, seniors, juniors in rows[1:]), default=0) or 1
    for number, (stage, seniors, juniors) in enumerate(rows):
        bar = "" if number == 0 else "█" * round(32 * (seniors + juniors) / widest)
        table.add_row(stage, str(seniors), str(juniors), f"[cyan]{bar}[/cyan]")
    console.print(table)


def show_kpis(console: Console, answers: Sequence[Mapping[str, Any]], *, speed: float) -> None:
    """Print every KPI of the whole programme: value, fraction, target, and whether it is met.

    `speed` tells what a technical delay would have been by the real clock.
    """
    table = Table("KPI", title="KPIs of the whole programme")
    for name in ("value", "numerator", "denominator", "target"):
        table.add_column(name, justify="right")
    table.add_column("by group")
    whole = [a for a in answers if a["period"]["kind"] == "programme"]
    for answer in whole:
        if answer["dimension"] != "all":
            continue
        groups = [
            f"{other['group']} {_value(other)}"
            for other in whole
            if other["kpi"] == answer["kpi"] and other["dimension"] in ("role", "reason")
        ]
        table.add_row(
            str(answer["kpi"]),
            _value(answer, speed),
            _number(answer["numerator"]),
            _number(answer["denominator"]),
            _target(answer),
            ", ".join(groups),
        )
    console.print(table)


def _value(answer: Mapping[str, Any], speed: float = 1) -> str:
    if answer.get("suppressed"):
        return "(group too small)"
    return _with_unit(answer.get("value"), str(answer.get("unit")), speed)


def _with_unit(value: float | None, unit: str, speed: float = 1) -> str:
    if value is None:
        return "–"
    if unit == "ratio":
        return f"{value:.1%}"
    if unit == "seconds" and speed > 1:
        return f"{value / 86_400:.1f} days, {value / speed:.1f} s real"
    if unit == "count":
        return f"{value:g}"
    return f"{value:.2f} {unit}" if unit in ("days", "seconds") else f"{value:.2f}"


def _target(answer: Mapping[str, Any]) -> str:
    target, value = answer.get("target"), answer.get("value")
    if target is None:
        return ""
    text = _with_unit(target, str(answer.get("unit")))
    if value is None:
        return text
    return f"[green]{text} ✓[/green]" if value >= target else f"[yellow]{text} ✗[/yellow]"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.6g}"


def show_explanation(
    console: Console, explanation: Mapping[str, Any], pair: PairFact, workforce: Workforce
) -> None:
    """Print why two people were paired, factor by factor."""
    mentor = _who(pair.mentor_employee_id, workforce)
    mentee = _who(pair.mentee_employee_id, workforce)
    console.print(f"\n{mentor} teaches {mentee}", markup=False, highlight=False)
    table = Table("factor", title=f"Why: {explanation['score']:.1f} of 100", title_justify="left")
    for name in ("points", "of"):
        table.add_column(name, justify="right")
    table.add_column("because")
    for part in explanation["breakdown"]:
        table.add_row(
            str(part["factor"]), f"{part['points']:.1f}", f"{part['weight']:g}", str(part["detail"])
        )
    console.print(table)


def _who(employee_id: str, workforce: Workforce) -> str:
    """A person as HR introduced them, in as many words as HR had."""
    known = next((p for p in workforce.people if p.employee_id == employee_id), None)
    if known is None:
        return employee_id
    record = known.record
    about = [str(record[name]) for name in ("title", "department", "location") if name in record]
    return f"{record.get('displayName', employee_id)} ({', '.join(about)}, level {known.level})"


def show_without_partner(
    console: Console, answers: Sequence[Mapping[str, Any]], *, waiting: int
) -> None:
    """Print which rules stood between those who wait and their counterparts."""
    excluded, people = without_partner(answers)
    asked = "" if len(answers) == waiting else f", {len(answers)} of them asked about"
    table = Table("rule", title=f"Why ready people have no partner: {waiting} wait{asked}")
    for name in ("counterparts excluded", "people concerned"):
        table.add_column(name, justify="right")
    for rule, count in sorted(excluded.items(), key=lambda item: (-item[1], item[0])):
        table.add_row(rule, f"{count:,}", f"{people[rule]:,}")
    if unexplained := sum(not answer["reasons"] for answer in answers):
        table.add_row("(no matching run has explained it)", "", f"{unexplained:,}")
    console.print(table)


def without_partner(
    answers: Sequence[Mapping[str, Any]],
) -> tuple[Counter[str], Counter[str]]:
    """By rule: how many counterparts it excludes in sum, and for how many people."""
    excluded: Counter[str] = Counter()
    people: Counter[str] = Counter()
    for answer in answers:
        excluded.update(answer["reasons"])
        people.update(answer["reasons"].keys())
    return excluded, people


def show_counts(
    console: Console, title: str, counts: Mapping[str, int], *, what: str = "kind"
) -> None:
    """Print a table of counts, most first, with their sum."""
    table = Table(what, title=f"{title}: {sum(counts.values()):,}")
    table.add_column("count", justify="right")
    for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        table.add_row(name, f"{count:,}")
    console.print(table)


def parked_by_reason(records: Sequence[Mapping[str, Any]]) -> Counter[str]:
    """Parked HR records by their reason."""
    return Counter(str(record["reason"])[:_WIDEST_REASON] for record in records)


def show_events(console: Console, told: Told) -> None:
    """Print how many events each topic carries, by type."""
    table = Table("topic", title=f"Events: {sum(c.total() for c in told.by_topic.values()):,}")
    table.add_column("events", justify="right")
    table.add_column("of which")
    for topic, counts in sorted(told.by_topic.items()):
        kinds = ", ".join(f"{_short(kind)} {count:,}" for kind, count in counts.most_common())
        table.add_row(topic, f"{counts.total():,}", kinds)
    console.print(table)


def _short(kind: str) -> str:
    return kind.removeprefix("updraft.").removesuffix(".v1")


def show_memory(
    console: Console, resident: Mapping[str, int], restarts: Mapping[str, int]
) -> list[str]:
    """Print memory and restarts per service; returns what is over the limit."""
    table = Table("service", title="Services")
    for name in ("memory", "restarts"):
        table.add_column(name, justify="right")
    problems = []
    for name, size in resident.items():
        restarted = restarts.get(name, 0)
        table.add_row(name, f"{size / 2**20:.0f} MB", str(restarted))
        if size > MEMORY_LIMIT:
            problems.append(f"{name} uses {size / 2**20:.0f} MB, more than 150 MB")
        if restarted:
            problems.append(f"{name} was restarted {restarted} times; see its log")
    console.print(table)
    return problems
