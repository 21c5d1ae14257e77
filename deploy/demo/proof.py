"""How good the programme's matching runs were, and one of them checked anew from what is kept."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deploy.demo.office import Office, Refused

_MOST_SHOWN = 5
_MOST_READ = 500
_MOST_SHORTAGES = 3


async def show_proof(
    console: Console, office: Office, programme_id: str, folder: Path
) -> list[str]:
    """Print the certificates of the runs that found most; returns what does not hold of one."""
    path = f"/programmes/{programme_id}/match-runs?limit={_MOST_READ}"
    runs = await office.as_manager("GET", path, service="matching")
    telling = telling_runs(runs)
    if not telling:
        return []
    show_certificates(console, telling, runs=len(_solved(runs)))
    _show_shortages(console, runs)
    kept = next((run for run in telling if run["verifiable"]), None)
    if kept is None:
        console.print("None of these can be verified any more: people in them were erased.")
        return []
    return await _verified(console, office, str(kept["run_id"]), folder)


def telling_runs(runs: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The runs that found most pairs, those first."""
    return sorted(_solved(runs), key=lambda run: -run["certificate"]["pairs"])[:_MOST_SHOWN]


def _solved(runs: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [run for run in runs if run["certificate"] is not None]


def show_certificates(console: Console, telling: Sequence[Mapping[str, Any]], *, runs: int) -> None:
    """Print what each run claims: its worth, what none can exceed, and who is served."""
    table = Table("day", "because of", title=f"Matching runs: {runs:,}; those that found most")
    for name in ("pairs", "objective", "bound", "gap", "mentees served", "seconds", "MB"):
        table.add_column(name, justify="right")
    for run in telling:
        proof = run["certificate"]
        table.add_row(
            str(run["requested_at"])[:10],
            str(run["trigger"]),
            f"{proof['pairs']:,}",
            f"{proof['objective']:,.4f}",
            f"{proof['bound']:,.4f}",
            f"{proof['gap']:.4%}" if proof["gap"] else "0, proven",
            f"{proof['covered']:,} of {proof['coverable']:,}",
            f"{run['seconds']:.2f}",
            f"{run['peak_memory_mb']:.0f}",
        )
    console.print(table)


def _show_shortages(console: Console, runs: Sequence[Mapping[str, Any]]) -> None:
    newest = next((run for run in runs if run["bottlenecks"]), None)
    if newest is not None:
        console.print("What the programme was short of at the last:")
        for short in newest["bottlenecks"][:_MOST_SHORTAGES]:
            console.print(f"  {escape(short['told'])}", highlight=False)


async def _verified(console: Console, office: Office, run_id: str, folder: Path) -> list[str]:
    """Check a run as `updraft match verify` does; what it needs stays in the folder."""
    from deploy.matching.audit import verdict_on_run
    from deploy.matching.files import BadInputError

    file = folder / "matching-run.json"
    try:
        kept = await office.as_auditor(f"/match-runs/{run_id}/certificate", service="matching")
        file.write_text(json.dumps(kept), "utf-8")
        # It may take a while, and the services live on.
        verdict = await asyncio.to_thread(verdict_on_run, file, lambda _, __: None)
    except (Refused, BadInputError) as error:
        why = error.problems if isinstance(error, BadInputError) else [error]
        return [f"matching run {run_id} cannot be verified: {reason}" for reason in why]
    if not verdict.findings:
        console.print(
            f"Verified from its input: every rule, score and the bound of the run with "
            f"{verdict.certificate.pairs:,} pairs hold. Again: updraft match verify --run {file}",
            highlight=False,
            soft_wrap=True,
        )
    return [f"matching run {run_id}: {finding}" for finding in verdict.findings]
