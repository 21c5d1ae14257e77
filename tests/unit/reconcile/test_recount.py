"""Two computations of the KPIs that share no code come to the same figures."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.reconcile.kpis import Recount
from services.metrics.domain.facts import (
    EmployeeRow,
    Facts,
    FeedbackRow,
    GoalRow,
    NotificationRow,
    PairRow,
    ParticipantRow,
    ProgrammeRow,
    SessionRow,
    histories,
)
from services.metrics.domain.measuring import measure
from shared.catalogue import (
    EmployeeUpdated,
    FeedbackGiven,
    GoalFact,
    NotificationFact,
    NotificationSent,
    PairFact,
    ParticipantFact,
    SessionFact,
)
from tests.unit.reconcile.history import PROGRAMME, History, day, uuid

_BOOKED = {"status": "scheduled", "held": None}


def row(kind, event, **more):
    """An event's fields as a fact row of the same names."""
    names = kind.__dataclass_fields__.keys() & type(event).model_fields.keys()
    return kind(**{**{name: getattr(event, name) for name in names}, **more})


def facts_of(history):
    """What metrics would remember of the events."""
    topics = history.topics
    programme = history.newest[PROGRAMME]
    audience = programme.audience
    sessions = {one.session_id: one for one in topics.of(SessionFact)}
    return Facts(
        row(
            ProgrammeRow,
            programme,
            departments=audience.departments,
            countries=audience.countries,
            mentor_max_level=audience.mentor_max_level,
            mentee_min_level=audience.mentee_min_level,
            min_tenure_days=audience.min_tenure_days,
            min_group_size=0,
        ),
        histories(row(EmployeeRow, one) for one in topics.of(EmployeeUpdated)),
        histories(row(ParticipantRow, one) for one in topics.of(ParticipantFact)),
        histories(row(PairRow, one) for one in topics.of(PairFact)),
        [row(SessionRow, one, booked=one.scheduled_by is not None) for one in sessions.values()],
        [row(FeedbackRow, one) for one in topics.of(FeedbackGiven)],
        [row(GoalRow, one) for one in topics.of(GoalFact)],
        [
            row(
                NotificationRow,
                one,
                outcome="sent" if isinstance(one, NotificationSent) else "failed",
            )
            for one in topics.of(NotificationFact)
        ],
    )


@st.composite
def programmes(draw):
    """Random lives of people and pairs in a programme of 90 days."""
    moments = st.integers(0, 110)
    history = History(length_days=90, cadence_days=draw(st.sampled_from([7, 14, 30])))
    for n in range(draw(st.integers(1, 6))):
        mentor, mentee = f"j{n}", f"s{n}"
        history.couple(mentor, mentee)
        if draw(st.booleans()):
            at = draw(moments)
            history.employee(mentor, at, status=draw(st.sampled_from(["left", "on_leave"])))
        if draw(st.booleans()):
            at = draw(st.integers(1, 110))
            status = draw(st.sampled_from(["paused", "withdrawn"]))
            history.participant(mentee, at, status=status)
        created = draw(st.integers(1, 80))
        if draw(st.integers(0, 4)) == 0:
            history.pair(
                mentor,
                mentee,
                created,
                status=draw(st.sampled_from(["declined", "expired", "proposed"])),
                created_at=None,
                closed_at=day(created),
            )
            continue
        pair = history.pair(mentor, mentee, created, cross_department=draw(st.booleans()))
        _meet(draw, history, pair, created)
        _end(draw, history, mentor, mentee, created)
        history.mail(mentor, created, sent=draw(st.booleans()))
    return history


def _meet(draw, history, pair, created):
    for at in draw(st.lists(st.integers(created, 120), max_size=5, unique=True)):
        state = draw(st.sampled_from(["held", "logged", "booked", "off", "missed", "disputed"]))
        change = {
            "held": {},
            "logged": {"status": "logged", "scheduled_by": None},
            "booked": _BOOKED,
            "off": {
                "status": "cancelled",
                "held": None,
                "cancelled_at": day(at - 1),
                "cancelled_by": draw(st.sampled_from(["mentor", "mentee", "system"])),
            },
            "missed": {"held": False},
            "disputed": {"status": "disputed"},
        }[state]
        history.session(pair, at, **change)
        if state == "held":
            history.feedback(pair, "pulse", draw(st.integers(1, 5)), at)
            history.feedback(pair, "nps", draw(st.integers(0, 10)), at)
            history.goal(pair, at, draw(st.one_of(st.none(), st.integers(at, 120))))


def _end(draw, history, mentor, mentee, created):
    at = created
    if draw(st.booleans()):
        at = draw(st.integers(created, 85))
        history.pair(mentor, mentee, at, status="paused", paused_at=day(at))
        if draw(st.booleans()):
            back = draw(st.integers(at, 89))
            history.pair(
                mentor, mentee, back, status="active", paused_at=None, paused_days=float(back - at)
            )
            at = back
    end = draw(st.sampled_from(["no", "no_fit", "leaver", "completed"]))
    if end != "no":
        closed = draw(st.integers(at, 100))
        pair = history.newest[uuid(f"{mentor}-{mentee}")]
        # A pause that goes on is over with the pair.
        paused = pair.paused_days + (closed - at if pair.status == "paused" else 0)
        history.pair(
            mentor,
            mentee,
            closed,
            closed_at=day(closed),
            paused_at=None,
            paused_days=paused,
            status="completed" if end == "completed" else "ended",
            reason=None if end == "completed" else end,
            left_by="mentor" if end == "leaver" else None,
        )


@settings(deadline=None)
@given(programmes(), st.integers(0, 120))
def test_both_computations_agree_at_any_moment(history, n):
    now = day(n) + (day(1) - day(0.5))
    history.topics.told = [told for told in history.topics.told if told.at <= now]
    measures = {
        (key.kpi, key.group): one.figures
        for key, one in measure(facts_of(history), now).items()
        if key.window.kind == "programme" and key.dimension in ("all", "reason")
    }
    recount = Recount(history.topics, PROGRAMME, now)
    expected = {(name, "all"): figures for name, figures in recount.all().items()}
    expected |= {
        ("early_end_by_reason", name): figures for name, figures in recount.early_ends().items()
    }
    for key, figures in expected.items():
        known = measures[key]
        for should, found in zip(
            figures, (known.numerator, known.denominator, known.value), strict=True
        ):
            assert (should is None) == (found is None), key
            assert should is None or abs(should - found) < 1e-5, (key, figures, known)
