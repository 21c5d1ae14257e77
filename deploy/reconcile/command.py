"""`updraft reconcile`: do the four services agree?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from asyncpg import PostgresError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deploy.reconcile.differences import Compared
from deploy.reconcile.looking import Place, Report, report

_MOST_SHOWN = 200


def command(
    data: Annotated[
        Path, typer.Option("--data", help="The folder of the local stack.", show_default=True)
    ] = Path(".updraft"),
    dsn: Annotated[
        str | None,
        typer.Option(
            "--dsn",
            envvar="UPDRAFT_AUDITOR__DSN",
            help="Another database than the local stack's: a role that may read all four schemas.",
        ),
    ] = None,
    bootstrap_servers: Annotated[
        str | None,
        typer.Option(
            "--bootstrap-servers",
            envvar="UPDRAFT_KAFKA__BOOTSTRAP_SERVERS",
            help="A Kafka cluster, instead of the local stack's broker.",
        ),
    ] = None,
    mails: Annotated[
        Path | None, typer.Option("--mails", help="A folder of .eml files to compare with.")
    ] = None,
    wait: Annotated[
        float, typer.Option("--wait", min=1, help="Seconds to wait for the flow to be quiet.")
    ] = 60.0,
) -> None:
    """Compare the four schemas, the topics, the mails and the KPIs; exit 1 if they differ."""
    from deploy.cli import fail, finish

    if dsn and bootstrap_servers:
        where = Place(dsn, bootstrap_servers, mails)
    else:
        where = _local(data, dsn, bootstrap_servers, mails)
    try:
        found = finish(report(where, within_seconds=wait))
    except (OSError, PostgresError) as error:
        # The message of a database error may quote a row; its kind says enough.
        fail(f"the database cannot be read ({type(error).__name__}); check --dsn")
    show(found)
    if found.differences:
        raise typer.Exit(1)


def _local(data: Path, dsn: str | None, bootstrap_servers: str | None, mails: Path | None) -> Place:
    """The stack that runs in a folder, with what was given instead."""
    from deploy.cli import fail
    from deploy.local.endpoints import Endpoints
    from deploy.local.process import StackError

    try:
        stack = Endpoints.of(data)
        return Place(
            dsn or stack.dsn("auditor"),
            bootstrap_servers or stack.bootstrap_servers,
            mails or stack.run_dir / "mails",
            stack.clock,
        )
    except StackError as error:
        fail(f"{error}, or give --dsn and --bootstrap-servers")


def show(found: Report, console: Console | None = None) -> None:
    """Print what was compared, then each difference."""
    console = console or Console()
    console.print(_table(found.compared, found))
    if not found.quiet:
        console.print("[yellow]Events were still on their way: later ones are not judged.[/yellow]")
    for difference in found.differences[:_MOST_SHOWN]:
        console.print(f"[red]✗[/red] {escape(str(difference))}", highlight=False)
    if len(found.differences) > _MOST_SHOWN:
        console.print(f"[red]✗[/red] and {len(found.differences) - _MOST_SHOWN:,} more")
    if not found.differences:
        console.print("[green]✓[/green] No differences.")


def _table(compared: Compared, found: Report) -> Table:
    table = Table("compared", "between", title="Reconciliation")
    table.add_column("how many", justify="right")
    table.add_column("differences", justify="right")
    for (what, where), count in compared.counts.items():
        differing = sum((one.what, one.where) == (what, where) for one in found.differences)
        table.add_row(what, where, f"{count:,}", f"[red]{differing:,}[/red]" if differing else "0")
    return table
