"""A programme without pairs says so, and which rules kept people apart."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from deploy.demo import command
from deploy.demo.office import Refused
from deploy.demo.outcome import Told, formed_pairs, never_paired
from deploy.demo.play import Play


def told(participants: dict[str, str], pairs: list[tuple[str, str, Any]]) -> Any:
    said = Told()
    for participant_id, status in participants.items():
        said.participants[participant_id] = SimpleNamespace(status=status)  # type: ignore[assignment]
    for number, (mentor, mentee, created_at) in enumerate(pairs):
        fact = SimpleNamespace(mentor_id=mentor, mentee_id=mentee, created_at=created_at, version=1)
        said.pairs[str(number)] = [fact]  # type: ignore[list-item]
    return said


def printed(act: Callable[[Console], object]) -> str:
    console = Console(width=150, record=True, quiet=False, file=open_null())
    act(console)
    return console.export_text()


def open_null() -> Any:
    return SimpleNamespace(write=len, flush=int, isatty=bool)


def test_who_is_ready_and_was_in_no_pair_has_no_partner() -> None:
    said = told(
        {"a": "ready", "b": "ready", "c": "ready", "d": "withdrawn"},
        [("a", "b", "some day"), ("c", "d", None)],
    )
    assert never_paired(said) == ["c"]
    assert len(formed_pairs(said)) == 1


class Answers:
    """Answers as matching would, and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def as_manager(self, method: str, path: str, *, service: str) -> Any:
        assert (method, service) == ("GET", "matching")
        self.asked.append(path)
        if len(self.asked) == 1:
            raise Refused(404, {})
        return {"reasons": {"chain_unknown": 7, "capacity": 1} if len(self.asked) > 2 else {}}


async def test_the_reasons_are_summed_over_at_most_sixty_people() -> None:
    said, office = told({f"{n:03d}": "ready" for n in range(150)}, []), Answers()
    console = Console(width=150, record=True, file=open_null())
    await command._show_without_partner(console, said, office)
    assert len(office.asked) == 50
    assert office.asked[1] == "/participants/003/explanation"
    text = console.export_text()
    assert "Why ready people have no partner: 150 wait, 49 of them asked about" in text
    rows = [line.replace("│", " ").split() for line in text.splitlines()]
    assert ["chain_unknown", "336", "48"] in rows
    assert "(no matching run has explained it)" in text


@pytest.mark.parametrize(("pairs", "sign"), [(0, "!"), (1, "✓")])
def test_a_programme_without_a_pair_gets_no_green_tick(pairs: int, sign: str) -> None:
    stack = SimpleNamespace(mails_dir="mails", logs_dir="logs")
    text = printed(lambda c: command._verdict(c, stack, [], pairs=pairs, keep=True))
    assert text.startswith(sign)
    assert ("No pair was formed" in text) == (pairs == 0)
    assert ("✓" in text) == (pairs == 1)


async def test_nobody_waits_for_a_person_whose_record_was_parked() -> None:
    asked: list[str] = []

    async def as_hr(_: str, path: str) -> Any:
        asked.append(path)
        if path == "/hr/parked-records":
            return [{"key": "bad"}]
        if path.endswith("/bad"):
            raise Refused(404, {})
        return {}

    history = [SimpleNamespace(key=key) for key in ["good"] * 8 + ["bad"] * 192]
    play = SimpleNamespace(
        office=SimpleNamespace(as_hr=as_hr), _platform=SimpleNamespace(history=history), _seed=1
    )
    assert await Play.wait_for_people(play, real_seconds=5)  # type: ignore[arg-type]
    assert asked.count("/hr/employees/bad") == 1
