from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from uuid import UUID

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from shared.catalogue import ConcernRaised, Event, PairFact
from shared.testing import published
from tests.conftest import DatabaseFor
from tests.integration.matching.pair_checker import violations
from tests.integration.matching.world import PROGRAMME, World

JUNIORS = ("j1", "j2", "j3", "j4")
SENIORS = ("s1", "s2", "s3", "s4")
BOSSES = ("b1", "b2")
EVERYBODY = (*JUNIORS, *SENIORS, *BOSSES)
MANAGERS = (None, None, *EVERYBODY, "ghost")
PEOPLE = (*JUNIORS, *SENIORS)
LANGUAGES = (("en",), ("en",), ("en", "fr"), ("fr",), ("de", "en"))

ACTIONS = (
    "employment", "manager", "manager", "dotted", "level", "profile", "capacity", "block",
    "language", "pause", "withdraw", "rules", "concern", "collide", "collide", "collide",
    "deliver", "deliver", "deliver", "deliver", "deliver", "deliver", "again",
    "run", "run", "yes", "yes", "yes", "yes", "no", "wait", "tick",
)  # fmt: skip
Action = tuple[str, int, int]


class Chaos:
    """Events come into being in one order and are delivered in another, kept only per key."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.waiting: dict[tuple[str, str], list[Event]] = defaultdict(list)
        self.delivered: list[Event] = []

    def happen(self, event: Event) -> None:
        self.waiting[event.TOPIC, event.key].append(event)

    def begin(self) -> None:
        world = self.world
        self.happen(world.programme(min_level_gap=1, different_department=False))
        for name in BOSSES:
            self.happen(world.employee(name, job_level=8))
        for name in JUNIORS:
            self.happen(world.employee(name, job_level=2, manager_id="b1"))
            self.happen(world.participant(name, "mentor", capacity=2))
        for name in SENIORS:
            self.happen(world.employee(name, job_level=6, manager_id="b2"))
            self.happen(world.participant(name, "mentee"))

    async def deliver(self, choice: int) -> None:
        """The oldest event of one key, or the oldest of several keys in one batch."""
        keys = sorted(key for key, events in self.waiting.items() if events)
        if keys:
            batch = [
                self.waiting[keys[(choice + step) % len(keys)]].pop(0)
                for step in range(min(len(keys), 1 + choice % 4))
            ]
            await self.tell(*batch)

    async def tell(self, *events: Event) -> None:
        assert await self.world.tell(*events) == []
        self.delivered += events

    async def pair(self, choice: int, *statuses: str) -> PairFact | None:
        pairs = [pair for pair in await self.world.pairs() if pair.status in statuses]
        return pairs[choice % len(pairs)] if pairs else None

    async def act(self, action: str, a: int, b: int) -> None:
        world, who = self.world, EVERYBODY[a % len(EVERYBODY)]
        person = PEOPLE[a % len(PEOPLE)]
        changes: dict[str, Callable[[], Event]] = {
            "employment": lambda: world.employee(
                who, status=("active", "active", "on_leave", "left")[b % 4]
            ),
            "manager": lambda: world.employee(who, manager_id=_not(who, b)),
            "dotted": lambda: world.employee(
                who, dotted_line_manager_ids=tuple(filter(None, (_not(who, b),)))
            ),
            "level": lambda: world.employee(who, job_level=1 + b % 8),
            "profile": lambda: world.participant(person, topics_offered=({"topic": "ai"},)),
            "capacity": lambda: world.participant(person, capacity=1 + b % 3),
            "block": lambda: world.participant(person, blocks=(PEOPLE[b % len(PEOPLE)],)),
            "language": lambda: world.participant(person, languages=LANGUAGES[b % len(LANGUAGES)]),
            "pause": lambda: world.participant(person, status=("paused", "ready")[b % 2]),
            "withdraw": lambda: world.participant(
                person, status=("ready", "ready", "withdrawn")[b % 3]
            ),
            "rules": lambda: world.programme(
                mentor_capacity=1 + b % 3,
                mentee_capacity=1 + a % 2,
                approval=("both", "automatic", "manager")[b % 3],
            ),
        }
        if action in changes:
            self.happen(changes[action]())
        else:
            await self._meanwhile(action, a, b)

    async def _meanwhile(self, action: str, a: int, b: int) -> None:
        world = self.world
        if action == "deliver":
            await self.deliver(a)
        elif action == "again" and self.delivered:
            await self.tell(*(self.delivered[i % len(self.delivered)] for i in (a, b, b // 2)))
        elif action == "collide" and (pair := await self.pair(a, "proposed", "active", "paused")):
            await self._collide(pair, b)
        elif action == "run":
            await world.run()
        elif action == "wait":
            world.later(days=b % 9)
        elif action == "tick":
            await world.tick()
        elif action in ("yes", "no") and (pair := await self.pair(a, "proposed", "ended")):
            by = (
                pair.awaiting if b % 4 and pair.awaiting else ("mentor", "mentee", "manager")[b % 3]
            )
            await world.answer(pair, by, yes=action == "yes")
        elif action == "concern" and (pair := await self.pair(a, "proposed", "active", "paused")):
            self.happen(
                ConcernRaised(
                    concern_id=UUID(int=1 + a),
                    pair_id=pair.pair_id,
                    programme_id=PROGRAMME,
                    raised_by="mentor",
                    category="conflict",
                    exit_requested=b % 3 == 0,
                    raised_at=world.now,
                )
            )

    async def _collide(self, pair: PairFact, choice: int) -> None:
        """News of the very people of a living pair, told before any other, then an old echo."""
        world = self.world
        junior, senior = pair.mentor_employee_id, pair.mentee_employee_id
        boss = world.employees[junior].manager_id
        news: list[Callable[[], Event]] = [
            lambda: world.employee(junior, manager_id=senior),
            lambda: world.employee(junior, manager_id="ghost"),
            lambda: world.employee(senior, manager_id=junior),
            lambda: world.employee(boss if boss in EVERYBODY else "b1", manager_id=senior),
            lambda: world.employee(senior, manager_id=boss),
            lambda: world.employee(junior, job_level=6),
            lambda: world.participant(junior, languages=("fi",)),
            lambda: world.participant(senior, blocks=(junior,)),
            lambda: world.participant(junior, capacity=1),
        ]
        event = news[choice % len(news)]()
        if event.key == getattr(event, "manager_id", None):
            return
        queue = self.waiting[event.TOPIC, event.key]
        echo = [e for e in self.delivered if (e.TOPIC, e.key) == (event.TOPIC, event.key)][:1]
        await self.tell(*queue, event, *echo)
        queue.clear()

    async def check(self) -> None:
        decided = [e for e in await published(self.world.database) if isinstance(e, PairFact)]
        assert violations(self.delivered, decided) == []


def _not(who: str, choice: int) -> str | None:
    manager = MANAGERS[choice % len(MANAGERS)]
    return None if manager == who else manager


@given(
    st.lists(
        st.tuples(st.sampled_from(ACTIONS), st.integers(0, 999), st.integers(0, 999)),
        min_size=20,
        max_size=60,
    ),
    st.sampled_from((True, True, True, False)),
)
@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)
async def test_whatever_the_order_of_events_no_living_pair_breaks_a_rule(
    database_for: DatabaseFor, actions: list[Action], settled_first: bool
) -> None:
    chaos = Chaos(World(await database_for("matching")))
    chaos.begin()
    if settled_first:
        await _deliver_all(chaos)
        await chaos.world.paired()
    for action, a, b in actions:
        await chaos.act(action, a, b)
        await chaos.check()
    await _deliver_all(chaos)
    await chaos.check()
    await chaos.world.run()
    await chaos.check()


async def _deliver_all(chaos: Chaos) -> None:
    step = 0
    while any(chaos.waiting.values()):
        step += 7
        await chaos.deliver(step)
        await chaos.check()
