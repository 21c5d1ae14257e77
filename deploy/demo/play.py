"""Six months of a programme, lived by its people on the fast clock.

Nothing here looks behind the curtain: HR speaks over its topic, people act through the signed links
of the mails that reach them or through the API with their own tokens.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import Any

from deploy.demo.agenda import Action, Agenda
from deploy.demo.cast import Actor, actor, cast, profile
from deploy.demo.couples import CoupleLife
from deploy.demo.hr_platform import HrPlatform, raw, shuffled
from deploy.demo.hr_story import HrStory
from deploy.demo.mailbox import Mail, Mailbox
from deploy.demo.office import Office, Refused
from deploy.demo.workforce import Workforce
from shared.clock import Clock

LENGTH_DAYS = 180
LEAD_DAYS = 16
CADENCE_DAYS = 30
_WAVES = (0.3, 6.0, 45.0)
_MATCH_RUNS = (8.0, 11.0, 14.0, 18.0, 23.0, 29.0, 36.0, 45.0, 53.0, 60.0, 75.0, 95.0, 120.0)
_PARKED = "/hr/parked-records"
_INTERESTING = frozenset(
    {
        "invitation",
        "welcome",
        "proposal",
        "proposal_reminder",
        "pair_created",
        "session_log_request",
        "session_confirm_request",
        "feedback_request",
        "cadence_missed",
        "no_first_session",
        "stalled",
        "silence_warning",
    }
)


@dataclass
class Scene:
    """How far the play is, for progress bars and the closing tables."""

    programme_id: str = ""
    opened: datetime | None = None
    starts: datetime | None = None
    ends: datetime | None = None
    counts: Counter[str] = field(default_factory=Counter)

    def share(self, now: datetime) -> float:
        """How much of the time between opening and end has passed, in [0, 1]."""
        if self.opened is None or self.ends is None:
            return 0.0
        return min(1.0, max(0.0, (now - self.opened) / (self.ends - self.opened)))


class Play:
    """One programme from the first HR record to its closing."""

    def __init__(
        self,
        workforce: Workforce,
        office: Office,
        platform: HrPlatform,
        mailbox: Mailbox,
        clock: Clock,
        *,
        seed: int,
        watch: Callable[[], None] = lambda: None,
    ) -> None:
        self.workforce = workforce
        self.office = office
        self.mailbox = mailbox
        self.clock = clock
        self.scene = Scene()
        self.agenda = Agenda(clock)
        self.life = CoupleLife(self.agenda, office, clock, seed=seed, cadence_days=CADENCE_DAYS)
        self.story = HrStory(
            platform, workforce, self.agenda, clock, lambda: self.life.living, seed=seed
        )
        self.actors = {one.employee_id: one for one in cast(workforce, seed=seed)}
        self._platform = platform
        self._watch = watch
        self._seed = seed
        self._by_address = {p.email: p for p in workforce.people if p.email}
        self._proposed: dict[str, dict[str, Actor]] = {}
        self._answered: set[tuple[str, str]] = set()
        self._logged: set[str] = set()
        self._dice = random.Random(f"{seed}/play")
        self._reactions: dict[str, Callable[[Actor, Mail], None]] = {
            "invitation": self._invited,
            "welcome": self._welcomed,
            "proposal": self._asked,
            "proposal_reminder": self._asked_again,
            "pair_created": self._paired,
            "session_log_request": self._asked_to_log,
            "session_confirm_request": self._asked_to_confirm,
            "feedback_request": self._asked_for_feedback,
            "cadence_missed": self._nudged,
            "no_first_session": self._nudged,
            "stalled": self._nudged,
            "silence_warning": self._nudged,
        }

    @classmethod
    def interesting_mails(cls) -> frozenset[str]:
        """Kinds of mail that the play's people react to."""
        return _INTERESTING

    async def load_people(self) -> None:
        """HR publishes everybody, in no special order, with bad and repeated records between."""
        now = self.clock.now()
        # Some days ago, so that no time zone makes it a future change.
        effective = (now - timedelta(days=3)).date()
        records = [
            self._platform.full(person.employee_id, effective=effective, now=now)
            for person in self.workforce.people
        ]
        await self._platform.publish(shuffled(records, self._seed))
        await self.story.send_broken(20)
        await self._platform.publish(records[::50])
        self.story.told["sent again or late"] += len(records[::50])
        await self._send_bad_rows(now)

    async def _send_bad_rows(self, now: datetime) -> None:
        rows = [
            raw(
                {**record, "sequence": 1, "effectiveDate": now.date().isoformat()},
                key=str(record.get("employeeId") or where),
                event_id=f"row/{where}",
                now=now,
                what="bad row of the file",
            )
            for where, record in self.workforce.bad_rows
        ]
        await self._platform.publish(rows)
        if rows:
            self.story.told["bad rows of the file"] += len(rows)

    async def wait_for_people(self, real_seconds: float) -> bool:
        """Wait until registration knows everybody, at most this long; whether it does.

        Whose record was parked is not waited for.
        """
        deadline = asyncio.get_running_loop().time() + real_seconds
        # Whoever was sent last tends to be known last: look from the end.
        missing = [record.key for record in shuffled(self._platform.history, self._seed)][-200::8]
        while missing and asyncio.get_running_loop().time() < deadline:
            try:
                await self.office.as_hr("GET", f"/hr/employees/{missing[-1]}")
                missing.pop()
            except Refused as refusal:
                if refusal.status != 404:
                    raise
                parked = {row["key"] for row in await self.office.as_hr("GET", _PARKED)}
                missing = [employee_id for employee_id in missing if employee_id not in parked]
                await asyncio.sleep(0.3)
        return not missing

    async def open_programme(self) -> None:
        """The programme manager opens it; its people start to act from here on."""
        now = self.clock.now()
        starts_on = (now + timedelta(days=LEAD_DAYS)).date()
        boss = min(self.workforce.people, key=lambda p: (-p.level, p.employee_id))
        manager = next(
            (p for p in self.workforce.people if p.level == self.workforce.mentee_min_level), boss
        )
        rules = {
            "name": f"Reverse mentoring at {self.workforce.name}",
            "goals": [
                "Leaders use what juniors know",
                "Juniors are heard across the hierarchy",
            ],
            "kpi_targets": {
                "participation_rate": 0.2,
                "match_rate": 0.8,
                "leader_coverage": 0.3,
                "proposal_acceptance": 0.75,
                "first_session_14d": 0.8,
                "cadence_adherence": 0.7,
                "completion_rate": 0.85,
                "satisfaction": 4.0,
                "nps": 30,
                "goal_attainment": 0.5,
                "skill_uplift": 0.7,
            },
            "focus_topics": list(self.workforce.topics[:6]),
            "starts_on": starts_on.isoformat(),
            "length_days": LENGTH_DAYS,
            "cadence_days": CADENCE_DAYS,
            "audience": {
                "mentor_max_level": self.workforce.mentor_max_level,
                "mentee_min_level": self.workforce.mentee_min_level,
            },
            "min_level_gap": self.workforce.min_level_gap,
            "training_required": True,
            "agreement_version": "2026-1",
            "approval": "both",
            "proposal_expiry_days": 21,
            "sponsor_employee_id": boss.employee_id,
            "manager_employee_id": manager.employee_id,
        }
        programme = await self.office.as_manager("POST", "/programmes", rules)
        scene = self.scene
        scene.programme_id = str(programme["programme_id"])
        scene.opened = now
        scene.starts = datetime.combine(starts_on, time(0), UTC)
        scene.ends = scene.starts + timedelta(days=LENGTH_DAYS)
        self.life.last_session = scene.ends - timedelta(days=4)
        self._schedule(scene)

    def _schedule(self, scene: Scene) -> None:
        assert scene.opened is not None
        assert scene.starts is not None
        assert scene.ends is not None

        def on(day: float, action: Callable[[], Awaitable[Any]]) -> None:
            async def act() -> None:
                await action()

            assert scene.opened is not None
            self.agenda.at(scene.opened + timedelta(days=day), act)

        for wave, day in enumerate(_WAVES):
            on(day, lambda wave=wave: self._invite(wave))  # type: ignore[misc]
        for one in self.actors.values():
            if one.asked_in_wave is None:
                on(self._dice.uniform(1, 15), lambda one=one: self._enrol(one))  # type: ignore[misc]
        for day in _MATCH_RUNS:
            on(day, self._match)
        self.story.schedule(scene.starts, LENGTH_DAYS)
        on(LEAD_DAYS + 40, self._change_programme)
        for day in (35, 75, 110):
            on(LEAD_DAYS + day, self._raise_concern)
            on(LEAD_DAYS + day + 6, self._resolve_concerns)
        for day in (50, 62, 84):
            on(LEAD_DAYS + day, self._take_a_break)
        for day in (66, 100):
            on(LEAD_DAYS + day, self._withdraw)
        for day in range(30, 150, 15):
            on(LEAD_DAYS + day, self._meet_by_chance)
        on(LEAD_DAYS + LENGTH_DAYS - 14, self._conclude_all)

    async def live(self) -> None:
        """Until the programme's end, people react to their mails and do what they planned."""
        assert self.scene.ends is not None
        try:
            await self.agenda.run(self.scene.ends + timedelta(days=1), self._look)
            self.agenda.forget_the_rest()
            await self.agenda.drain(20)
        finally:
            await self.agenda.drain(0)

    async def fade_out(self, real_seconds: float) -> None:
        """Wait until no mail has come for some days of the programme, at most this long."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + real_seconds
        calm = max(1.5, self.clock.real_seconds(timedelta(days=2)))
        last, since = self.mailbox.counts.total(), loop.time()
        while loop.time() < min(deadline, since + calm):
            await asyncio.sleep(0.2)
            self.mailbox.new_mails()
            if (count := self.mailbox.counts.total()) != last:
                last, since = count, loop.time()

    async def close(self) -> None:
        """The programme manager closes the programme."""
        await self.office.as_manager("POST", f"/programmes/{self.scene.programme_id}/close")

    async def _look(self) -> None:
        for mail in self.mailbox.new_mails():
            person = self._by_address.get(mail.to)
            if person is None:
                continue
            one = self.actors.get(person.employee_id)
            if one is None:
                role = "mentee" if person.level >= self.workforce.mentee_min_level else "mentor"
                one = actor(person, role, seed=self._seed)  # type: ignore[arg-type]
                self.actors[person.employee_id] = one
            self._reactions[mail.kind](one, mail)
        self._watch()

    # What the programme manager does

    async def _invite(self, wave: int) -> None:
        for role in ("mentee", "mentor"):
            ids = [
                one.employee_id
                for one in self.actors.values()
                if one.asked_in_wave == wave and one.role == role
            ]
            if not ids:
                continue
            answer = await self.office.as_manager(
                "POST",
                f"/programmes/{self.scene.programme_id}/invitations",
                {"role": role, "employee_ids": ids},
            )
            self.scene.counts["invited"] += len(answer["invited"])
            self.scene.counts["invitation refused"] += len(answer["refused"])

    async def _match(self) -> None:
        path = f"/programmes/{self.scene.programme_id}/match-runs"
        try:
            await self.office.as_manager("POST", path, service="matching")
            self.scene.counts["match runs asked for"] += 1
        except Refused:
            self.scene.counts["match runs refused"] += 1

    async def _change_programme(self) -> None:
        change = {"focus_topics": list(self.workforce.topics[:7])}
        path = f"/programmes/{self.scene.programme_id}"
        await self.office.as_manager("PATCH", path, change)

    async def _resolve_concerns(self) -> None:
        concerns = await self.office.as_manager("GET", "/concerns")
        for concern in concerns:
            if concern.get("resolved_at") is None:
                await self.office.as_manager(
                    "POST",
                    f"/concerns/{concern['concern_id']}/resolution",
                    {"resolution": "Talked with both."},
                )
                self.scene.counts["concerns resolved"] += 1

    # What people do by themselves

    async def _enrol(self, one: Actor) -> None:
        body = {"role": one.role, "agreement_version": "2026-1", **self._profile(one)}
        path = f"/programmes/{self.scene.programme_id}/participants"
        participant = await self._try(one, "POST", path, body)
        if participant is not None:
            one.participant_id = str(participant["participant_id"])
            self.scene.counts["enrolled"] += 1

    def _profile(self, one: Actor) -> dict[str, Any]:
        others = [other.employee_id for other in self.actors.values() if other.role != one.role]
        return profile(one, self.workforce, others)

    async def _complete_profile(self, one: Actor) -> None:
        """Who joined by one click is known by HR's record alone; some say more afterwards."""
        participant_id = await self._participant_id(one)
        await self._try(one, "PATCH", f"/participants/{participant_id}", self._profile(one))
        self.scene.counts["profiles completed"] += 1

    async def _take_a_break(self) -> None:
        couple = self._some_couple()
        if couple is None:
            return
        one = self._dice.choice((couple.mentor, couple.mentee))
        participant_id = await self._participant_id(one)
        if await self._try(one, "POST", f"/participants/{participant_id}/pause") is not None:
            self.scene.counts["breaks"] += 1
            path = f"/participants/{participant_id}/resume"
            self.agenda.after(15, lambda: self._quietly(one, path))

    async def _withdraw(self) -> None:
        couple = self._some_couple()
        if couple is None:
            return
        one = self._dice.choice((couple.mentor, couple.mentee))
        participant_id = await self._participant_id(one)
        if await self._try(one, "POST", f"/participants/{participant_id}/withdrawal") is not None:
            self.scene.counts["withdrawn"] += 1

    async def _raise_concern(self) -> None:
        for category, leaves in (("no_fit", True), ("other", False)):
            couple = self._some_couple()
            if couple is None:
                continue
            one = self._dice.choice((couple.mentor, couple.mentee))
            await self._try(
                one,
                "POST",
                f"/pairs/{couple.pair_id}/concerns",
                {"category": category, "exit_requested": leaves, "text": "Please call me."},
            )
            self.scene.counts["concerns raised"] += 1

    async def _meet_by_chance(self) -> None:
        couple = self._some_couple()
        if couple is not None:
            await self.life.log_unbooked(couple)

    async def _conclude_all(self) -> None:
        for couple in self.life.living:
            self.agenda.after(
                self._dice.uniform(0, 10),
                lambda couple=couple: self.life.conclude(couple),  # type: ignore[misc]
            )

    def _some_couple(self) -> Any:
        living = self.life.living
        return self._dice.choice(living) if living else None

    async def _participant_id(self, one: Actor) -> str:
        if one.participant_id is None:
            me = await self.office.as_employee(one.employee_id, "GET", "/me")
            one.participant_id = next(
                str(each["participant_id"])
                for each in me["participants"]
                if each["programme_id"] == self.scene.programme_id
            )
        return one.participant_id

    async def _quietly(self, one: Actor, path: str) -> None:
        await self._try(one, "POST", path)

    async def _try(self, one: Actor, method: str, path: str, body: Any = None) -> Any:
        try:
            return await self.office.as_employee(one.employee_id, method, path, body)
        except Refused:
            return None

    # How people react to their mails

    def _click_later(
        self, mail: Mail, action: str, days: float, count: str, *, remember: str | None = None
    ) -> None:
        link = mail.link(action)
        if link is None:
            self.scene.counts[f"no {action} link in {mail.kind}"] += 1
            return
        if remember is not None:
            self._answered.add((mail.to, remember))

        async def click() -> None:
            if await self.office.click(link):
                self.scene.counts[count] += 1

        self._react(mail, days, click)

    def _react(self, mail: Mail, days: float, action: Action) -> None:
        """Do something so many days after a mail was sent, at once if that is over."""
        sent = min(mail.sent, self.clock.now())
        self.agenda.at(sent + timedelta(days=days), action)

    def _invited(self, one: Actor, mail: Mail) -> None:
        if not one.chance(one.traits.joins):
            if one.chance(0.5) and mail.link("decline_invitation"):
                self._click_later(mail, "decline_invitation", one.delay(), "invitations declined")
            return
        if one.chance(one.traits.clicks):
            days = one.delay()
            self._click_later(mail, "enrol", days, "enrolled")
            if one.chance(0.5):
                self._react(mail, days + 1.5, lambda: self._complete_profile(one))
        else:
            self._react(mail, one.delay(), lambda: self._enrol(one))

    def _welcomed(self, one: Actor, mail: Mail) -> None:
        if mail.link("complete_training") is not None and one.chance(0.97):
            self._click_later(mail, "complete_training", one.delay(), "trained")

    def _asked(self, one: Actor, mail: Mail) -> None:
        link = mail.link("accept")
        if link is not None and link.pair_id:
            self._proposed.setdefault(link.pair_id, {})[one.role] = one
        if not one.chance(one.traits.forgets):
            self._answer(one, mail)

    def _asked_again(self, one: Actor, mail: Mail) -> None:
        link = mail.link("accept")
        known = link is not None and (mail.to, link.pair_id or "") in self._answered
        if not known and not one.chance(one.traits.forgets):
            self._answer(one, mail)

    def _answer(self, one: Actor, mail: Mail) -> None:
        action = "decline" if one.chance(one.traits.declines) else "accept"
        link = mail.link(action)
        pair_id = (link.pair_id if link else None) or ""
        days = min(one.delay(), 4.0)
        self._click_later(mail, action, days, f"proposals: {action}", remember=pair_id)

    def _paired(self, one: Actor, _: Mail) -> None:
        if one.role == "mentor":
            self.agenda.after(0, lambda: self._get_to_know(one))

    async def _get_to_know(self, mentor: Actor) -> None:
        me = await self.office.as_employee(mentor.employee_id, "GET", "/me")
        for pair in me["pairs"]:
            pair_id = str(pair["pair_id"])
            if pair["status"] != "active" or pair_id in self.life.couples:
                continue
            mentee = self._proposed.get(pair_id, {}).get("mentee")
            if mentee is not None:
                topics = tuple(pair.get("topics") or ())
                self.life.meet(pair_id, mentor, mentee, topics)

    def _asked_to_log(self, one: Actor, mail: Mail) -> None:
        link = mail.link("log_session")
        session_id = (link.session_id if link else None) or ""
        fate, _ = self.life.fates.get(session_id, ("held", None))
        # When one has said that they will log it, the other need not.
        told = session_id in self._logged
        if fate in ("held", "moved") and not told and not one.chance(one.traits.forgets):
            self._logged.add(session_id)
            self._click_later(mail, "log_session", min(one.delay(), 3.0), "sessions logged")

    def _asked_to_confirm(self, one: Actor, mail: Mail) -> None:
        if one.chance(0.015):
            self._click_later(mail, "dispute_session", one.delay(), "sessions disputed")
        elif not one.chance(one.traits.forgets):
            self._click_later(mail, "confirm_session", one.delay(), "sessions confirmed")

    def _asked_for_feedback(self, one: Actor, mail: Mail) -> None:
        if not one.chance(one.traits.gives_feedback):
            return
        score = one.dice.choices((1, 2, 3, 4, 5), weights=(1, 3, 12, 45, 39))[0]
        self._click_later(mail, f"pulse_{score}", one.delay(), "pulses given")

    def _nudged(self, one: Actor, _: Mail) -> None:
        for couple in self.life.living:
            if one in (couple.mentor, couple.mentee) and one.chance(0.3):
                self.agenda.after(
                    one.delay(),
                    lambda couple=couple: self.life.book(couple),  # type: ignore[misc]
                )
