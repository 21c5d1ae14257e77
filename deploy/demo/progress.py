"""What is seen while the play runs: bars on a terminal, a line now and then elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from deploy.demo.play import LENGTH_DAYS, Play

_LINES = 9


class Show:
    """Follows a play; used as a context manager around it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._play: Play | None = None
        self._said = -1
        self._progress = Progress(
            TextColumn("{task.description:<28}"),
            BarColumn(bar_width=40),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
            disable=not console.is_terminal,
            refresh_per_second=4,
        )
        self._time = self._progress.add_task("programme", total=LENGTH_DAYS, note="")
        self._bars: list[tuple[TaskID, Callable[[], tuple[int, int]]]] = []

    def __enter__(self) -> Show:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def follow(self, play: Play) -> None:
        """Show this play's people, pairs, sessions and mails."""
        self._play = play
        counts, life = play.scene.counts, play.life
        for name, count in (
            ("people enrolled", lambda: (counts["enrolled"], len(play.actors))),
            ("proposals answered", lambda: (_answers(play), len(play.actors))),
            ("pairs formed", lambda: (len(life.couples), len(play.actors) // 2)),
            ("sessions booked", lambda: (life.counts["booked"], 5 * len(life.couples) or 1)),
            ("mails delivered", lambda: (play.mailbox.counts.total(), len(play.actors) * 20)),
        ):
            self._bars.append((self._progress.add_task(name, note="", total=1), count))

    def update(self) -> None:
        """Show how far it is now."""
        play = self._play
        if play is None or play.scene.starts is None:
            return
        now = play.clock.now()
        day = (now - play.scene.starts).days
        note = f"{now:%a %d %b %Y}" + ("" if day >= 0 else f", starts in {-day} days")
        self._progress.update(self._time, completed=min(max(day, 0), LENGTH_DAYS), note=note)
        for bar, count in self._bars:
            done, expected = count()
            self._progress.update(bar, completed=done, total=max(done, expected))
        step = int(play.scene.share(now) * _LINES)
        if not self._console.is_terminal and step != self._said:
            self._said = step
            self._console.print(
                f"{now:%d %b %Y}: day {day} · {play.scene.counts['enrolled']} enrolled · "
                f"{len(play.life.couples)} pairs formed · {play.life.counts['booked']} sessions "
                f"booked · {play.mailbox.counts.total()} mails"
            )


def _answers(play: Play) -> int:
    counts = play.scene.counts
    return counts["proposals: accept"] + counts["proposals: decline"]
