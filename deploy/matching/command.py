"""`updraft match` and `updraft company`: the matching engine on files, without any server."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from deploy.terminal import console

if TYPE_CHECKING:
    from deploy.matching.formats import CertificateFile
    from deploy.matching.people import Named
    from services.matching.domain.instance import Instance
    from services.matching.domain.result import Result

BAD_INPUT = 2
"""Exit code when files or options cannot be used; nothing was written then."""
INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""

app = typer.Typer(add_completion=False, pretty_exceptions_show_locals=False)
_out = console()
_err = console(stderr=True)

Participants = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="People: JSON Lines, or CSV when it ends in .csv."),
]
Programme = Annotated[
    Path | None, typer.Option(metavar="FILE", help="The programme's rules: a JSON object.")
]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help="A new folder for what comes out.", file_okay=False),
]
Force = Annotated[
    bool, typer.Option("--force", help="Write into a folder that has files in it already.")
]


@app.callback(invoke_without_command=True)
def match(
    ctx: typer.Context,
    participants: Participants = None,
    programme: Programme = None,
    out: Out = None,
    gap: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="How far from the best is good enough: 0.0005 is 0.05 %.",
            show_default="as the rules say; else 0 up to 20,000 people, 0.0005 above",
        ),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            max=86_400,
            help="After so long, take the best result found.",
            show_default="as the rules say; else no limit",
        ),
    ] = None,
    force: Force = False,
) -> None:
    """Pair the people of a file by the engine that the service runs on.

    Writes pairs.jsonl, unmatched.jsonl (who is left and why), not_ready.jsonl (who could not be
    paired and what is missing), bottlenecks.json (what the programme is short of),
    certificate.json (how good the pairs are, and how good any could be), prices.jsonl, which proves
    it, and report.html to look at. All lines are checked first, and if one is wrong nothing is
    written. `updraft match verify` checks what was written; `updraft match schemas` prints the
    formats.
    """
    if ctx.invoked_subcommand is not None:
        return
    from deploy.matching.files import check_folder, new_folder, read_input
    from deploy.matching.outcome import write_outcome

    participants = _given(participants, "--participants")
    programme = _given(programme, "--programme")
    out = _given(out, "--out")
    with _refusing():
        check_folder(out, force=force)
        with _progress() as told:
            told("reading", 0.0)
            given = read_input(participants, programme)
            began = time.perf_counter()
            result = _solve(
                given.named,
                given.rules.gap if gap is None else gap,
                given.rules.seconds if seconds is None else seconds,
                told,
            )
            took = time.perf_counter() - began
            told("writing", 1.0)
            with new_folder(out, force=force) as folder:
                certificate = write_outcome(
                    folder,
                    given.named,
                    result,
                    seconds=took,
                    peak_memory_mb=_peak_memory_mb(),
                )
    for warning in given.warnings:
        _err.print(f"[yellow]warning:[/yellow] {escape(warning)}", highlight=False, soft_wrap=True)
    _show(certificate, given.named.instance, out)


@app.command()
def verify(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="What `updraft match` wrote.")
    ] = None,
    participants: Participants = None,
    programme: Programme = None,
    run: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Instead: what GET /match-runs/{id}/certificate answered."
        ),
    ] = None,
) -> None:
    """Check a kept run anew: each pair by each rule, each score, the objective and the bound.

    A folder needs --participants and --programme. Breakdowns, reasons and counts are checked too;
    not what an alternative costs, the smallest changes, at which rule somebody's nearest
    counterparts fail, the bottlenecks, not_ready, the report, seconds, memory, and the order of
    lines. Ends with 1 when something does not hold, and with 2 when a file cannot be read.
    """
    from deploy.matching.claims import bonuses_included, while_locked
    from deploy.matching.files import printable, read_input

    if (folder is None) == (run is None):
        raise typer.BadParameter("name either a folder or --run", param_hint="DIR")
    with _refusing("nothing was verified"), _progress() as told:
        # Half a second to import, which a wrong option need not wait for.
        from deploy.matching.audit import verdict_on_files, verdict_on_run

        if run is not None:
            verdict = verdict_on_run(run, told)
        else:
            participants = _given(participants, "--participants")
            programme = _given(programme, "--programme")
            told("reading", 0.0)
            given = read_input(participants, programme)
            verdict = verdict_on_files(_given(folder, "DIR"), given, told)
    if verdict.findings:
        _tell([printable(each) for each in verdict.findings], len(verdict.findings))
        _err.print("[red]error:[/red] the run is not what it says", highlight=False)
        raise typer.Exit(1)
    of, checked = verdict.certificate, verdict.given
    _out.print(
        f"everything holds: pairs {of.pairs:,}, objective {of.objective:,.4f} of at most "
        f"{of.bound:,.4f}{bonuses_included(checked.programme)}, gap {of.gap:.4%}, "
        f"{of.covered:,} of {of.coverable:,} mentees served{while_locked(checked)}",
        highlight=False,
        soft_wrap=True,
    )


@app.command()
def schemas(
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Write a file per format instead."),
    ] = None,
) -> None:
    """Print the JSON Schemas of the file formats."""
    from deploy.matching import documents

    if out is None:
        print(json.dumps(documents.schemas(), indent=1, ensure_ascii=False))
        return
    from deploy.matching.files import write_document

    out.mkdir(parents=True, exist_ok=True)
    for name, schema in documents.schemas().items():
        write_document(out / f"{name}.json", schema)


def company(
    people: Annotated[
        int | None, typer.Option(min=2, max=500_000, help="How many take part.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same files.")] = 1,
    out: Out = None,
    mentors: Annotated[
        int | None, typer.Option(min=1, max=500_000, help="How many of them are mentors.")
    ] = None,
    mentees: Annotated[
        int | None, typer.Option(min=1, max=500_000, help="How many of them are mentees.")
    ] = None,
    hardened: Annotated[
        bool, typer.Option("--hardened", help="Few languages, narrow hours, scarce topics.")
    ] = False,
    single_seats: Annotated[
        bool, typer.Option("--single-seats", help="One pair at most for everybody.")
    ] = False,
    force: Force = False,
) -> None:
    """Invent a company for `updraft match`: people.jsonl and rules.json.

    Without --mentors and --mentees the pyramid of levels decides who is which.
    """
    from deploy.matching.company import lines, plan, rules_of
    from deploy.matching.files import new_folder, write_document, write_lines

    out = _given(out, "--out")
    try:
        given = plan(
            people,
            mentors=mentors,
            mentees=mentees,
            seed=seed,
            hardened=hardened,
            single_seats=single_seats,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    with _refusing(), new_folder(out, force=force) as folder:
        write_lines(folder / "people.jsonl", lines(given))
        write_document(folder / "rules.json", rules_of(given))
    _out.print(
        f"mentors: {given.mentors:,}, mentees: {given.mentees:,}, in {out}; pair them with\n"
        f"updraft match --participants {out / 'people.jsonl'} --programme {out / 'rules.json'} "
        "--out NEW_FOLDER",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def _solve(
    named: Named, gap: float | None, seconds: float | None, told: Callable[[str, float], None]
) -> Result:
    # Half a second to import, which a wrong file need not wait for.
    from services.matching.domain.engine import solve

    until = None if seconds is None else time.perf_counter() + seconds
    return solve(
        named.instance,
        gap=gap,
        enough=lambda: until is not None and time.perf_counter() >= until,
        told=told,
    )


def _given(path: Path | None, option: str) -> Path:
    if path is None:
        raise typer.BadParameter("is missing", param_hint=option)
    return path


@contextmanager
def _refusing(so: str = "nothing was written") -> Iterator[None]:
    """Says what is wrong with the input or the disk, or that it was stopped; ends the command."""
    from deploy.matching.files import BadInputError

    try:
        yield
    except BadInputError as error:
        _tell(error.problems, error.count)
        _err.print(f"[red]error:[/red] {so}", highlight=False)
        raise typer.Exit(BAD_INPUT) from None
    except KeyboardInterrupt:
        _err.print(f"[red]interrupted:[/red] {so}", highlight=False)
        raise typer.Exit(INTERRUPTED) from None
    except OSError as error:
        _err.print(f"[red]error:[/red] {escape(str(error))}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from None


def _tell(problems: list[str], count: int) -> None:
    from deploy.matching.files import MOST_SHOWN

    for problem in problems[:MOST_SHOWN]:
        _err.print(escape(problem), highlight=False, soft_wrap=True)
    if count > MOST_SHOWN:
        _err.print(f"and {count - MOST_SHOWN:,} more", highlight=False)


@contextmanager
def _progress() -> Iterator[Callable[[str, float], None]]:
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        console=_err,
        transient=True,
    ) as progress:
        task = progress.add_task("", total=1.0)

        def told(doing: str, share: float) -> None:
            progress.update(task, description=escape(doing), completed=share)

        yield told


def _peak_memory_mb() -> float:
    import resource
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)


def _show(found: CertificateFile, given: Instance, out: Path) -> None:
    from deploy.matching.claims import bonuses_included, while_locked

    served = f"{found.covered:,} of {found.coverable:,} who can be{while_locked(given)}"
    worth = f"{found.objective:,.2f} of at most {found.bound:,.2f}"
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_row("pairs", f"{found.pairs:,}")
    table.add_row("mentees served", served)
    table.add_row("objective", worth + bonuses_included(given.programme))
    table.add_row("gap", f"{found.gap:.4%}, {'proven' if found.gap == 0 else 'certified'}")
    table.add_row("time", f"{found.seconds:,.1f} s")
    table.add_row("memory", f"{found.peak_memory_mb:,.0f} MB at most")
    if found.refused_locks:
        table.add_row("locks refused", f"{len(found.refused_locks):,}, see certificate.json")
    table.add_row("written to", escape(str(out)))
    _out.print(table, highlight=False, soft_wrap=True)
