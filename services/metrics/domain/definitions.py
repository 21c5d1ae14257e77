"""Every KPI in one place: its name, unit, sentence, dimensions, and how it is counted.

A change of a sentence or of what is counted raises the KPI's version.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from services.metrics.domain import figures, observations
from services.metrics.domain.figures import Combine
from services.metrics.domain.observations import Observation
from services.metrics.domain.periods import View

Dimension = Literal["all", "department", "role", "reason"]
Unit = Literal["ratio", "days", "count", "score", "points", "seconds"]
Basis = Literal["programme", "arrivals"]


@dataclass(frozen=True, slots=True)
class Kpi:
    """One KPI: what it says, and how it is computed."""

    name: str
    unit: Unit
    sentence: str
    observe: Callable[[View], Iterable[Observation]]
    combine: Combine = figures.ratio
    dimensions: tuple[Dimension, ...] = ("all",)
    monthly: bool = True
    """Whether it is told per month besides the whole programme."""
    adds_up: bool = True
    """Whether the months' figures sum to the programme's: things that happen, not states."""
    personal: bool = True
    """Whether it tells something about people; if not, small groups are shown."""
    basis: Basis = "programme"
    """Which facts it counts: those of a programme, or the arrivals of all HR changes. KPIs of
    different bases are measured apart, each when facts of its own have come."""
    version: int = 1


ALL_AND_DEPARTMENT: tuple[Dimension, ...] = ("all", "department")
ALL_AND_ROLE: tuple[Dimension, ...] = ("all", "role")
EACH_PERSON: tuple[Dimension, ...] = ("all", "department", "role")

_SESSION = "A session counts when one side logged it as held and the other does not dispute it."
_PAIR_GROUP = "A pair counts in the department of its mentee."

KPIS: tuple[Kpi, ...] = (
    Kpi(
        "participation_rate",
        "ratio",
        "Eligible active employees who ever became ready for a pair ÷ eligible active employees "
        "(in the audience, with a possible counterpart at the level gap), at the end of the "
        "period; by role: of those eligible for the role.",
        observations.participation,
        dimensions=EACH_PERSON,
        adds_up=False,
    ),
    Kpi(
        "match_rate",
        "ratio",
        "Participants with an active pair ÷ participants who are ready or paused, at the end of "
        "the period.",
        observations.matched,
        dimensions=EACH_PERSON,
        adds_up=False,
    ),
    Kpi(
        "leader_coverage",
        "ratio",
        "Employees eligible as mentee who are the mentee of an active pair ÷ employees eligible "
        "as mentee, at the end of the period.",
        observations.leaders_covered,
        dimensions=ALL_AND_DEPARTMENT,
        adds_up=False,
    ),
    Kpi(
        "time_to_match_p50",
        "days",
        "Median of the days from the moment when both sides were last ready to the creation of "
        "their pair, over pairs created in the period; numerator: sum of the days, denominator: "
        f"pairs. {_PAIR_GROUP}",
        observations.waits_for_a_pair,
        figures.median,
        ALL_AND_DEPARTMENT,
    ),
    Kpi(
        "time_to_match_p90",
        "days",
        "90th percentile of the days from the moment when both sides were last ready to the "
        "creation of their pair, over pairs created in the period; numerator: sum of the days, "
        f"denominator: pairs. {_PAIR_GROUP}",
        observations.waits_for_a_pair,
        figures.ninetieth,
        ALL_AND_DEPARTMENT,
    ),
    Kpi(
        "proposal_acceptance",
        "ratio",
        "Proposals accepted by all who were asked ÷ (accepted + declined + expired), decided in "
        f"the period. {_PAIR_GROUP}",
        observations.proposals_decided,
        dimensions=ALL_AND_DEPARTMENT,
    ),
    Kpi(
        "first_session_14d",
        "ratio",
        "Pairs that met within 14 days of their creation ÷ pairs created in the period at least "
        f"14 days ago. {_SESSION} {_PAIR_GROUP}",
        observations.first_sessions,
        dimensions=ALL_AND_DEPARTMENT,
    ),
    Kpi(
        "cadence_adherence",
        "ratio",
        "Mean over pairs of min(1, sessions ÷ floor(active days without pauses ÷ cadence)), for "
        "pairs active for at least one cadence; numerator: sum of the shares, denominator: pairs. "
        f"{_SESSION} {_PAIR_GROUP}",
        observations.cadences_kept,
        dimensions=ALL_AND_DEPARTMENT,
        monthly=False,
    ),
    Kpi(
        "cancellation_rate",
        "ratio",
        "Sessions called off by a side ÷ booked sessions whose time has come or that a side "
        f"called off; those that ended with their pair are left out. {_PAIR_GROUP}",
        observations.bookings_called_off,
        dimensions=ALL_AND_DEPARTMENT,
    ),
    Kpi(
        "senior_cancel_share",
        "ratio",
        f"Sessions called off by the mentee ÷ sessions called off by a side. {_PAIR_GROUP}",
        observations.cancellations_by_seniors,
        dimensions=ALL_AND_DEPARTMENT,
    ),
    Kpi(
        "no_show_rate",
        "ratio",
        "Booked sessions to which somebody did not come ÷ booked sessions of which a side told "
        f"the outcome and the other does not dispute it. {_PAIR_GROUP}",
        observations.no_shows,
        dimensions=ALL_AND_DEPARTMENT,
    ),
    Kpi(
        "stalled_pairs",
        "count",
        "Active pairs without a session in the last two cadences and with none booked, now; "
        f"denominator: active pairs. {_SESSION} {_PAIR_GROUP}",
        observations.stalled,
        figures.count,
        ALL_AND_DEPARTMENT,
        monthly=False,
        adds_up=False,
    ),
    Kpi(
        "completion_rate",
        "ratio",
        "Completed pairs ÷ (completed + ended early, without those that a leaver ended). "
        f"{_PAIR_GROUP}",
        observations.outcomes,
        dimensions=ALL_AND_DEPARTMENT,
    ),
    Kpi(
        "early_end_by_reason",
        "ratio",
        "Pairs that ended early for the reason ÷ pairs created.",
        observations.early_ends,
        dimensions=("reason",),
        monthly=False,
    ),
    Kpi(
        "satisfaction",
        "score",
        "Mean of the pulses given, 1 to 5; numerator: their sum, denominator: pulses.",
        observations.pulses,
        dimensions=EACH_PERSON,
    ),
    Kpi(
        "response_rate",
        "ratio",
        "Sides that gave their pulse ÷ two sides of each session held at least 7 days ago. "
        f"{_SESSION}",
        observations.pulses_asked,
        dimensions=EACH_PERSON,
    ),
    Kpi(
        "nps",
        "points",
        "Share of answers 9 and 10 − share of answers 0 to 6, in points; numerator: promoters − "
        "detractors, denominator: answers.",
        observations.promoters,
        figures.points,
        ALL_AND_ROLE,
    ),
    Kpi(
        "goal_attainment",
        "ratio",
        f"Goals reached so far ÷ goals set in the period. {_PAIR_GROUP}",
        observations.goals,
        dimensions=ALL_AND_DEPARTMENT,
    ),
    Kpi(
        "skill_uplift",
        "score",
        "Mean of the self-rating after − before, per person, pair and topic with both; numerator: "
        "sum of the differences, denominator: topics rated twice.",
        observations.skills_gained,
        dimensions=ALL_AND_ROLE,
        monthly=False,
    ),
    Kpi(
        "retention_12m",
        "ratio",
        "Participants still employed 12 months after they first became ready ÷ participants for "
        "whom 12 months have passed, with the Wilson 95 % interval; until the first 12 months "
        "have passed, the denominator says how many wait and there is no value.",
        observations.retained,
        figures.proportion,
        ALL_AND_ROLE,
        monthly=False,
    ),
    Kpi(
        "retention_delta",
        "ratio",
        "Retention over 12 months of participants − that of eligible non-participants of the same "
        "level, department and tenure band (under 1, 3, 5, 10, over 10 years): Mantel-Haenszel "
        "difference with the 95 % interval of Greenland & Robins 1985. People are told apart at "
        "a landmark, 90 days after the start, and followed from there, so that having stayed "
        "long enough to join is no advantage. Denominator: participants with somebody to compare "
        "with; numerator: how many more of them stayed. An association, not a cause.",
        observations.retained_compared,
        figures.difference,
        monthly=False,
    ),
    Kpi(
        "promotion_12m",
        "ratio",
        "Participants at a higher level 12 months after they first became ready ÷ participants "
        "still employed for whom 12 months have passed, with the Wilson 95 % interval.",
        observations.promoted,
        figures.proportion,
        ALL_AND_ROLE,
        monthly=False,
    ),
    Kpi(
        "orphan_recovery_p50",
        "days",
        "Median of the days from the end of a pair by a leaver to the survivor's next pair; "
        "numerator: sum of the days, denominator: survivors paired again; by the survivor's role.",
        observations.orphans_recovered,
        figures.median,
        ALL_AND_ROLE,
        monthly=False,
    ),
    Kpi(
        "cross_department_share",
        "ratio",
        "Pairs across departments ÷ pairs created in the period.",
        observations.departments_crossed,
    ),
    Kpi(
        "senior_reenrol_rate",
        "ratio",
        "Mentees who enrolled as mentee in a later programme ÷ mentees who were ever ready, once "
        "the programme is over.",
        observations.seniors_back,
        monthly=False,
    ),
    Kpi(
        "hr_event_lag_p95",
        "seconds",
        "95th percentile of the programme time from the reception of an HR record, or from its "
        "effective moment if that is later, to its arrival in the KPIs, of all employees, each "
        "taken to three digits; numerator: sum of the seconds, denominator: changes.",
        observations.hr_lags,
        figures.given,
        personal=False,
        basis="arrivals",
        version=2,
    ),
    Kpi(
        "notification_delivery_rate",
        "ratio",
        "Messages that the mail server took ÷ (taken + given up), owed in the period; those "
        "suppressed on purpose are left out.",
        observations.deliveries,
        personal=False,
    ),
    Kpi(
        "guard_violations_open",
        "count",
        "Active or paused pairs that break a hard rule now (one reporting line, leaver, level, "
        "withdrawn, block, common language, capacity), by an own check; denominator: active or "
        "paused pairs. The target is 0.",
        observations.violations,
        figures.count,
        monthly=False,
        adds_up=False,
        personal=False,
    ),
)

BY_NAME: dict[str, Kpi] = {kpi.name: kpi for kpi in KPIS}
BASES: tuple[Basis, ...] = get_args(Basis)
