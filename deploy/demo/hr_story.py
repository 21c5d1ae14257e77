"""HR during the six months: people leave, move, rise and return, and records go wrong."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from deploy.demo.agenda import Agenda
from deploy.demo.couples import Couple
from deploy.demo.hr_platform import HrPlatform, broken_records
from deploy.demo.workforce import Person, Workforce
from shared.clock import Clock

Step = Callable[[], Awaitable[None]]


class HrStory:
    """Schedules the HR side of the play; every change goes over the topic as HR would send it."""

    def __init__(
        self,
        platform: HrPlatform,
        workforce: Workforce,
        agenda: Agenda,
        clock: Clock,
        couples: Callable[[], list[Couple]],
        *,
        seed: int,
    ) -> None:
        self._hr = platform
        self._workforce = workforce
        self._agenda = agenda
        self._clock = clock
        self._couples = couples
        self._seed = seed
        self._dice = random.Random(f"{seed}/hr")
        self._touched: set[str] = set()
        self.told: Counter[str] = Counter()

    def schedule(self, first_day: Any, days: int) -> None:
        """Spread the story over the programme; `first_day` is its first instant."""

        def on(day: float, step: Step) -> None:
            if day < days:
                self._agenda.at(first_day + timedelta(days=day), step)

        for day in (28, 48, 80):
            on(day, self._leave_of_absence)
        for day in (40, 70):
            on(day, self._moves_under_the_senior)
        on(58, self._common_manager)
        on(88, self._manager_moves_under_the_senior)
        for day in (65, 105):
            on(day, self._promotion_closes_the_gap)
        for day in (30, 60, 90, 120):
            on(day, self._ordinary_changes)
            on(day + 3, self._duplicates_and_late_records)
            on(day + 5, self._broken)
        on(45, self._future_transfer)
        on(50, self._future_transfer_called_off)
        on(75, self._notice_called_off)
        for person in self._declared_leavers():
            day = person.leaves_on_day or 0
            on(day, lambda person=person: self._declared_leaver(person))  # type: ignore[misc]
        if not self._declared_leavers():
            for day in (18, 37, 57, 85, 105, 122):
                on(day, self._partner_leaves)
            for number in range(24):
                on(6 + number * 7, self._somebody_leaves)

    def _declared_leavers(self) -> list[Person]:
        return [p for p in self._workforce.people if p.leaves_on_day is not None]

    def _pick(self, fits: Callable[[Couple], bool] = lambda _: True) -> Couple | None:
        """A living couple whose people HR has not moved yet."""
        free = [
            couple
            for couple in self._couples()
            if couple.mentor.employee_id not in self._touched
            and couple.mentee.employee_id not in self._touched
            and fits(couple)
        ]
        if not free:
            return None
        couple = self._dice.choice(free)
        self._touched |= {couple.mentor.employee_id, couple.mentee.employee_id}
        return couple

    async def _change(
        self, employee_id: str, change: dict[str, Any], what: str, *, in_days: int = 0
    ) -> int:
        now = self._clock.now()
        effective = now.date() + timedelta(days=in_days)
        await self._hr.publish(
            [self._hr.patch(employee_id, change, effective=effective, now=now, what=what)]
        )
        self.told[what] += 1
        return self._hr.last_sequence(employee_id)

    async def _leaves(self, employee_id: str, what: str) -> None:
        today = self._clock.now().date().isoformat()
        await self._change(employee_id, {"status": "left", "terminationDate": today}, what)

    async def _partner_leaves(self) -> None:
        couple = self._pick()
        if couple is not None:
            leaver = self._dice.choice((couple.mentor, couple.mentee))
            await self._leaves(leaver.employee_id, "participant left the company")

    async def _declared_leaver(self, person: Person) -> None:
        self._touched.add(person.employee_id)
        await self._leaves(person.employee_id, "left, as the file declares")

    async def _somebody_leaves(self) -> None:
        person = self._somebody()
        if person is not None:
            await self._leaves(person.employee_id, "left the company")

    async def _leave_of_absence(self) -> None:
        couple = self._pick()
        if couple is None:
            return
        away = self._dice.choice((couple.mentor, couple.mentee)).employee_id
        await self._change(away, {"status": "on_leave"}, "leave of absence")
        self._agenda.after(18, lambda: self._back(away))

    async def _back(self, employee_id: str) -> None:
        await self._change(employee_id, {"status": "active"}, "back from leave")

    def _could_lead(self, boss: str, report: str) -> bool:
        """Whether `report` can come under `boss` without a circle."""
        return boss != report and report not in self._hr.chain(boss)

    async def _moves_under_the_senior(self) -> None:
        couple = self._pick(lambda c: self._could_lead(c.mentee.employee_id, c.mentor.employee_id))
        if couple is not None:
            senior = self._hr.records[couple.mentee.employee_id]
            change = {"managerId": senior["employeeId"], "department": senior["department"]}
            await self._change(couple.mentor.employee_id, change, "transfer into one chain")

    async def _common_manager(self) -> None:
        def boss_of(couple: Couple) -> str | None:
            manager = self._hr.records[couple.mentee.employee_id].get("managerId")
            return str(manager) if manager else None

        def fits(couple: Couple) -> bool:
            boss = boss_of(couple)
            return boss is not None and self._could_lead(boss, couple.mentor.employee_id)

        couple = self._pick(fits)
        if couple is not None:
            await self._change(
                couple.mentor.employee_id,
                {"managerId": boss_of(couple)},
                "transfer under a common manager",
            )

    async def _manager_moves_under_the_senior(self) -> None:
        def boss_of(couple: Couple) -> str | None:
            manager = self._hr.records[couple.mentor.employee_id].get("managerId")
            return str(manager) if manager else None

        def fits(couple: Couple) -> bool:
            boss = boss_of(couple)
            return boss is not None and self._could_lead(couple.mentee.employee_id, boss)

        couple = self._pick(fits)
        if couple is not None:
            boss = boss_of(couple) or ""
            self._touched.add(boss)
            change = {"managerId": couple.mentee.employee_id}
            await self._change(boss, change, "reorganisation above a mentor")

    async def _promotion_closes_the_gap(self) -> None:
        couple = self._pick()
        if couple is not None:
            level = int(self._hr.records[couple.mentee.employee_id]["jobLevel"])
            await self._change(
                couple.mentor.employee_id, {"jobLevel": level}, "promotion that closes the gap"
            )

    async def _ordinary_changes(self) -> None:
        """Promotions, moves of office and new interests that no pair has to fear."""
        for _ in range(5):
            person = self._somebody()
            if person is None:
                return
            level = int(self._hr.records[person.employee_id]["jobLevel"])
            await self._change(person.employee_id, {"jobLevel": level + 1}, "promotion")
        person = self._somebody()
        if person is not None:
            change = {"title": "Programme Lead", "interests": ["Chess", "Hiking"]}
            await self._change(person.employee_id, change, "new title and interests")

    async def _future_transfer(self) -> None:
        couple = self._pick(lambda c: self._could_lead(c.mentee.employee_id, c.mentor.employee_id))
        if couple is not None:
            change = {"managerId": couple.mentee.employee_id}
            await self._change(
                couple.mentor.employee_id, change, "transfer announced for later", in_days=21
            )

    async def _future_transfer_called_off(self) -> None:
        couple = self._pick(lambda c: self._could_lead(c.mentee.employee_id, c.mentor.employee_id))
        if couple is None:
            return
        employee_id = couple.mentor.employee_id
        sequence = await self._change(
            employee_id,
            {"managerId": couple.mentee.employee_id},
            "transfer announced for later",
            in_days=30,
        )
        self._agenda.after(10, lambda: self._call_off(employee_id, sequence))

    async def _notice_called_off(self) -> None:
        person = self._somebody()
        if person is None:
            return
        employee_id = person.employee_id
        last_day = (self._clock.now() + timedelta(days=30)).date().isoformat()
        sequence = await self._change(
            employee_id,
            {"status": "left", "terminationDate": last_day},
            "notice given",
            in_days=30,
        )
        self._agenda.after(12, lambda: self._call_off(employee_id, sequence))

    async def _call_off(self, employee_id: str, sequence: int) -> None:
        what = "announced change called off"
        now = self._clock.now()
        await self._hr.publish([self._hr.cancel(employee_id, sequence, now=now, what=what)])
        self.told[what] += 1

    async def _duplicates_and_late_records(self) -> None:
        """The same records once more, new ones and long overtaken ones: nothing may change."""
        again = self._dice.sample(self._hr.history, min(15, len(self._hr.history)))
        await self._hr.publish(again)
        self.told["sent again or late"] += len(again)

    async def _broken(self) -> None:
        await self.send_broken(5)

    async def send_broken(self, count: int) -> None:
        """Records that the intake must park."""
        template = self._workforce.people[0].record
        seed = self._dice.randrange(10**6)
        now = self._clock.now()
        broken = broken_records(count, template, seed=seed, now=now)
        await self._hr.publish(broken)
        self.told["broken"] += sum(record.what == "broken record" for record in broken)

    def _somebody(self) -> Person | None:
        """Somebody at work whom nothing has happened to, and who is in no couple."""
        coupled = {
            employee_id
            for couple in self._couples()
            for employee_id in (couple.mentor.employee_id, couple.mentee.employee_id)
        }
        free = [
            person
            for person in self._workforce.people
            if person.employee_id not in self._touched | coupled
            and person.leaves_on_day is None
            and person.level < 6
            and self._hr.records[person.employee_id].get("status") == "active"
        ]
        if not free:
            return None
        chosen = self._dice.choice(free)
        self._touched.add(chosen.employee_id)
        return chosen
