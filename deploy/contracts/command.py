"""`updraft contracts`: write what the catalogue promises, and check that it is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deploy.contracts.documents import stale_documents, write_documents
from deploy.contracts.gate import Breakage, breakages, remedy, stale_schemas
from deploy.contracts.golden import GOLDEN, golden_problems, golden_records
from deploy.contracts.history import published
from deploy.contracts.schemas import FOLDER, ROOT, kept_schemas, write_schema
from shared.catalogue import BY_TYPE, EVENT_TYPES

app = typer.Typer(
    help="The contracts of the event catalogue: JSON Schemas and AsyncAPI documents.",
    no_args_is_help=True,
)

Folder = Annotated[Path, typer.Option(help="Where the contracts are kept.", show_default=False)]
Goldens = Annotated[Path, typer.Option(help="Where golden records are.", show_default=False)]


def _refuse(broken: list[Breakage]) -> None:
    for one in broken:
        typer.echo(f"breaking: {one}", err=True)
    typer.echo("\nAn event version that was published never changes. Undo it, or:", err=True)
    for name in sorted({one.event_type for one in broken}):
        typer.echo(f"- {remedy(name)}", err=True)
    raise typer.Exit(1)


@app.command()
def check(folder: Folder = FOLDER, golden: Goldens = GOLDEN) -> None:
    """Fail when the catalogue breaks a published event, or when a kept contract is out of date."""
    if broken := breakages(folder):
        _refuse(broken)
    wrong = [f"golden: {problem}" for problem in golden_problems(golden_records(golden))]
    stale = [*stale_schemas(folder), *stale_documents(folder)]
    if stale:
        wrong.append(f"out of date: {', '.join(stale)}; run `make contracts` and commit")
    for line in wrong:
        typer.echo(line, err=True)
    if wrong:
        raise typer.Exit(1)
    known = "every commit that git knows" if published(ROOT, folder) else "the kept files only"
    typer.echo(f"{len(EVENT_TYPES)} event contracts hold, compared with {known}.")


@app.command()
def write(folder: Folder = FOLDER) -> None:
    """Write schemas and AsyncAPI documents anew; refuses what breaks a published event."""
    if broken := breakages(folder):
        _refuse(broken)
    folder.mkdir(parents=True, exist_ok=True)
    stale = [*stale_schemas(folder), *stale_documents(folder)]
    for event in EVENT_TYPES:
        write_schema(event, folder)
    for name in kept_schemas(folder).keys() - BY_TYPE.keys():
        # Of an event that was written down, never committed, and given up.
        (folder / f"{name}.json").unlink()
    write_documents(folder)
    typer.echo(f"{len(stale)} contracts changed.")
