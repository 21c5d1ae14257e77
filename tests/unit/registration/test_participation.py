from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.registration.domain import participation as rules
from services.registration.domain.employment import Employee
from services.registration.domain.participation import Offer, Participant, Profile, Want
from services.registration.domain.programmes import Audience, Programme
from services.registration.domain.rules import Invalid, Overtaken, RuleBroken

NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)
PROGRAMME = Programme(
    programme_id=UUID(int=1),
    version=1,
    status="open",
    name="Upside down",
    starts_on=date(2026, 1, 1),
    ends_on=date(2026, 6, 30),
    enrolment="open",
    audience=Audience(),
    min_level_gap=2,
    mentor_capacity=2,
    mentee_capacity=1,
    training_required=True,
    agreement_version="2",
    approval="both",
    session_minutes=60,
    focus_topics=("AI", "Social media"),
    manager_employee_id=None,
)
JUNIOR = Employee(
    employee_id="junior",
    version=1,
    status="active",
    job_level=2,
    job_family=None,
    title=None,
    organization=None,
    division=None,
    department="Sales",
    manager_id=None,
    dotted_line_manager_ids=(),
    location=None,
    country="FR",
    timezone="Europe/Paris",
    start_date=date(2025, 1, 1),
    leaves_on=None,
    effective_from=NOW,
    skills=("AI", "Python"),
    interests=("Chess",),
    erased=False,
)
PROFILE = Profile(topics_offered=(Offer("AI"),), languages=("en",))


def enrolled(programme: Programme = PROGRAMME, **changes: Any) -> Participant:
    asked: dict[str, Any] = {
        "employee": JUNIOR,
        "role": "mentor",
        "profile": PROFILE,
        "agreement_version": "2",
        "earlier": [],
    }
    return rules.enrol(programme, **(asked | changes), participant_id=uuid4(), now=NOW)


def invited(role: str = "mentor") -> Participant:
    return rules.invite(
        PROGRAMME,
        "junior",
        role,  # type: ignore[arg-type]
        [],
        participant_id=uuid4(),
        now=NOW,
    )


def test_who_enrols_is_ready_at_once_only_where_no_training_is_asked() -> None:
    assert enrolled().status == "enrolled"
    ready = enrolled(replace(PROGRAMME, training_required=False))
    assert (ready.status, ready.ready_at) == ("ready", NOW)


def test_training_makes_ready_and_is_done_once() -> None:
    later = NOW + timedelta(days=1)
    ready = rules.complete_training(PROGRAMME, enrolled(), later)
    assert (ready.status, ready.trained_at, ready.ready_at) == ("ready", later, later)
    assert rules.complete_training(PROGRAMME, ready, later + timedelta(days=1)) is ready


@pytest.mark.parametrize(
    ("employee", "reason"),
    [
        (JUNIOR._replace(status="on_leave"), "active service"),
        (JUNIOR._replace(status="pending"), "active service"),
        (JUNIOR._replace(department="Legal"), "other departments"),
        (JUNIOR._replace(country="US"), "other countries"),
        (JUNIOR._replace(start_date=NOW.date()), "30 days"),
        (JUNIOR._replace(job_level=5), "at most at level 4"),
        (JUNIOR._replace(leaves_on=date(2025, 12, 31)), "ends before"),
    ],
)
def test_the_audience_rule_names_what_keeps_a_person_out(employee: Employee, reason: str) -> None:
    audience = Audience(("Sales",), ("FR",), mentor_max_level=4, min_tenure_days=30)
    with pytest.raises(RuleBroken, match=reason):
        enrolled(replace(PROGRAMME, audience=audience), employee=employee)


def test_consent_is_to_the_agreement_in_force() -> None:
    with pytest.raises(Invalid, match="agreement_version"):
        enrolled(agreement_version="1")


def test_an_invite_only_programme_takes_the_invited_in_their_role() -> None:
    closed_door = replace(PROGRAMME, enrolment="invite_only")
    with pytest.raises(RuleBroken, match="by invitation"):
        enrolled(closed_door)
    invitation = invited()
    joined = enrolled(closed_door, earlier=[invitation])
    assert joined.participant_id == invitation.participant_id
    assert joined.version == 2
    with pytest.raises(RuleBroken, match="invited as a mentee"):
        enrolled(closed_door, earlier=[invited("mentee")])


def test_a_person_takes_one_role_per_programme() -> None:
    with pytest.raises(RuleBroken, match="take part as a mentor already"):
        enrolled(earlier=[enrolled()])


def test_who_withdrew_comes_back_as_a_new_participant() -> None:
    gone = rules.withdraw(enrolled(), "participant", NOW)
    back = enrolled(earlier=[gone])
    assert back.participant_id != gone.participant_id
    assert back.version == 1


def test_whom_the_manager_took_out_needs_an_invitation_to_come_back() -> None:
    removed = rules.withdraw(enrolled(), "manager", NOW)
    with pytest.raises(RuleBroken, match="Ask the manager"):
        enrolled(earlier=[removed])


def test_who_said_no_is_not_asked_again_but_a_returner_is() -> None:
    declined = rules.decline_invitation(invited(), NOW)
    with pytest.raises(RuleBroken, match="Said no"):
        rules.invite(PROGRAMME, "junior", "mentor", [declined], participant_id=uuid4(), now=NOW)
    left = rules.withdraw(enrolled(), "employment", NOW)
    again = rules.invite(PROGRAMME, "junior", "mentor", [left], participant_id=uuid4(), now=NOW)
    assert again.status == "invited"


def test_an_invitation_is_answered_once() -> None:
    with pytest.raises(Overtaken):
        rules.decline_invitation(enrolled(), NOW)


@pytest.mark.parametrize("capacity", [0, 3])
def test_capacity_stays_within_the_programme(capacity: int) -> None:
    with pytest.raises(Invalid, match="capacity"):
        enrolled(profile=replace(PROFILE, capacity=capacity))


def test_capacity_is_never_lowered_under_the_living_pairs() -> None:
    participant = enrolled(profile=replace(PROFILE, capacity=2))
    with pytest.raises(RuleBroken, match="2 living pairs"):
        rules.change_profile(
            PROGRAMME, participant, replace(PROFILE, capacity=1), None, living_pairs=2, now=NOW
        )


def test_a_profile_without_what_a_pair_needs_is_refused() -> None:
    for profile, field in (
        (replace(PROFILE, languages=()), "languages"),
        (replace(PROFILE, topics_offered=()), "topics_offered"),
        (replace(PROFILE, blocks=("junior",)), "blocks"),
        (replace(PROFILE, works_from=PROFILE.works_until), "working_hours"),
    ):
        with pytest.raises(Invalid, match=field):
            enrolled(profile=profile)


def test_a_changed_agreement_takes_readiness_until_the_new_one_is_consented_to() -> None:
    ready = rules.complete_training(PROGRAMME, enrolled(), NOW)
    changed = replace(PROGRAMME, agreement_version="3")
    waiting = rules.apply_programme(changed, ready, living_pairs=0, now=NOW)
    assert waiting.status == "enrolled"
    later = NOW + timedelta(days=2)
    again = rules.change_profile(changed, waiting, waiting.profile, "3", 0, later)
    assert (again.status, again.ready_at) == ("ready", later)


def test_an_unchanged_rule_changes_no_participant() -> None:
    ready = rules.complete_training(PROGRAMME, enrolled(), NOW)
    assert rules.apply_programme(PROGRAMME, ready, 0, NOW) is ready


def test_a_programme_that_is_over_takes_nobody() -> None:
    for over in (
        replace(PROGRAMME, status="closed"),
        replace(PROGRAMME, ends_on=NOW.date()),
    ):
        with pytest.raises(RuleBroken, match="programme"):
            enrolled(over)


def test_one_click_fills_the_profile_from_the_directory() -> None:
    mentor = rules.default_profile(PROGRAMME, JUNIOR, "fr_FR", "mentor")
    assert mentor.topics_offered == (Offer("AI"), Offer("Python"))
    assert (mentor.languages, mentor.timezone) == (("fr",), "Europe/Paris")
    assert mentor.interests == ("Chess",)
    mentee = rules.default_profile(PROGRAMME, JUNIOR, "en", "mentee")
    assert mentee.topics_wanted == (Want("AI"), Want("Social media"))


@pytest.mark.parametrize("role", ["mentor", "mentee"])
def test_who_joins_without_topics_is_ready_once_a_topic_is_named(role: Any) -> None:
    programme = replace(PROGRAMME, focus_topics=(), training_required=False)
    nothing_known = rules.default_profile(programme, JUNIOR._replace(skills=()), "en", role)
    with pytest.raises(Invalid, match="topics"):
        enrolled(programme, role=role, profile=nothing_known)
    joined = enrolled(programme, role=role, profile=nothing_known, topics_later=True)
    assert (joined.status, joined.agreement_version, joined.ready_at) == ("enrolled", "2", None)
    in_german = replace(nothing_known, languages=("de",))
    still = rules.change_profile(programme, joined, in_german, None, 0, NOW)
    assert still.status == "enrolled"
    named = replace(in_german, topics_offered=(Offer("AI"),), topics_wanted=(Want("AI"),))
    later = NOW + timedelta(days=1)
    ready = rules.change_profile(programme, still, named, None, 0, later)
    assert (ready.status, ready.ready_at) == ("ready", later)
    with pytest.raises(Invalid, match="topics"):
        rules.change_profile(programme, ready, in_german, None, 0, later)


def test_an_erased_person_leaves_no_word() -> None:
    forgotten = rules.forget(enrolled(profile=replace(PROFILE, interests=("Chess",))), NOW)
    assert forgotten.profile == Profile()
    assert forgotten.status == "withdrawn"
    assert forgotten.version == 2


@given(
    st.lists(
        st.sampled_from(["train", "pause", "resume", "withdraw", "agree", "new rules"]), max_size=15
    )
)
def test_ready_always_means_consenting_trained_and_neither_paused_nor_gone(
    steps: list[str],
) -> None:
    programme = PROGRAMME
    participant = enrolled()
    now = NOW
    for step in steps:
        now += timedelta(days=1)
        before = participant
        try:
            match step:
                case "train":
                    participant = rules.complete_training(programme, participant, now)
                case "pause":
                    participant = rules.pause(programme, participant, now)
                case "resume":
                    participant = rules.resume(programme, participant, now)
                case "withdraw":
                    participant = rules.withdraw(participant, "participant", now)
                case "agree":
                    participant = rules.change_profile(
                        programme,
                        participant,
                        participant.profile,
                        programme.agreement_version,
                        0,
                        now,
                    )
                case _:
                    version = str(int(programme.agreement_version) + 1)
                    programme = replace(programme, agreement_version=version)
                    participant = rules.apply_programme(programme, participant, 0, now)
        except RuleBroken:
            continue
        assert participant.version == before.version + (participant is not before)
        if before.status == "withdrawn":
            assert participant is before
        ready = (
            participant.agreement_version == programme.agreement_version
            and participant.trained_at is not None
            and participant.status not in ("paused", "withdrawn")
        )
        assert (participant.status == "ready") == ready
        if participant.status == "ready" and before.status != "ready":
            assert participant.ready_at == now
