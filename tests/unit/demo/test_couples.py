"""How pairs live: they book on, cancel when fated to, and stop when the pair is over."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from deploy.demo.agenda import Agenda
from deploy.demo.cast import Actor, cast
from deploy.demo.company import company
from deploy.demo.couples import CoupleLife
from deploy.demo.office import Refused
from shared.clock import Clock

START = datetime(2026, 1, 5, 7, tzinfo=UTC)
PAIR = "018f0000-0000-7000-8000-000000000001"


class Desk:
    """Takes every request and says yes, or says no to bookings of a pair in a given state."""

    def __init__(self, status: str | None = None) -> None:
        self.requests: list[tuple[str, str, Any]] = []
        self._status = status

    async def as_employee(self, employee_id: str, method: str, path: str, body: Any = None) -> Any:
        self.requests.append((method, path, body))
        if method == "GET":
            return {"status": self._status}
        if path.endswith("/sessions"):
            if self._status is not None:
                raise Refused(409, {"field": "pair_id", "detail": "not active"})
            return {"session_id": f"s{len(self.requests)}"}
        return {"goal_id": "g1"}

    def times(self, ending: str) -> list[datetime]:
        return [
            datetime.fromisoformat(body["starts_at"])
            for _, path, body in self.requests
            if path.endswith(ending)
        ]


@pytest.fixture
def people() -> tuple[Actor, Actor]:
    actors = cast(company(200, seed=1, today=date(2026, 1, 5)), seed=1)
    mentor = next(one for one in actors if one.role == "mentor")
    return mentor, next(one for one in actors if one.role == "mentee")


async def live(desk: Desk, people: tuple[Actor, Actor], days: float, **fates: Any) -> CoupleLife:
    clock = Clock(START, datetime.now(UTC), 86_400 * 60)
    agenda = Agenda(clock)
    life = CoupleLife(agenda, desk, clock, seed=1, cadence_days=30)  # type: ignore[arg-type]
    life.last_session = START + timedelta(days=days - 10)
    life.meet(PAIR, *people, ("AI tools",))
    life.couples[PAIR].fates = fates.get("fates", ["held"] * 20)

    async def look() -> None:
        pass

    await agenda.run(START + timedelta(days=days), look)
    await agenda.drain(1)
    assert agenda.failures == []
    return life


async def test_a_couple_that_meets_books_about_once_a_cadence(people: tuple[Actor, Actor]) -> None:
    desk = Desk()
    await live(desk, people, 180)
    times = desk.times("/sessions")
    assert 4 <= len(times) <= 8
    assert times == sorted(times)
    assert all(at < START + timedelta(days=180) for at in times)


async def test_a_called_off_session_is_followed_by_another_booking(
    people: tuple[Actor, Actor],
) -> None:
    desk = Desk()
    life = await live(
        desk, people, 120, fates=["cancelled_by_mentee", "cancelled_by_mentee", *["held"] * 9]
    )
    assert life.counts["cancelled"] == 2
    assert len(desk.times("/sessions")) >= 3


async def test_a_pair_that_has_ended_stops(people: tuple[Actor, Actor]) -> None:
    desk = Desk("ended")
    life = await live(desk, people, 90)
    assert life.living == []
    assert len(desk.times("/sessions")) == 1


async def test_a_paused_pair_tries_again(people: tuple[Actor, Actor]) -> None:
    desk = Desk("paused")
    life = await live(desk, people, 60)
    assert len(life.living) == 1
    assert len(desk.times("/sessions")) > 2
