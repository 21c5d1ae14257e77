"""The kinds of message, and which of them a person cannot switch off."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """What a message is about."""

    INVITATION = "invitation"
    WELCOME = "welcome"
    PROPOSAL = "proposal"
    PROPOSAL_REMINDER = "proposal_reminder"
    PAIR_CREATED = "pair_created"
    PAIR_ENDED = "pair_ended"
    SESSION_SCHEDULED = "session_scheduled"
    SESSION_CANCELLED = "session_cancelled"
    SESSION_REMINDER = "session_reminder"
    SESSION_LOG_REQUEST = "session_log_request"
    SESSION_CONFIRM_REQUEST = "session_confirm_request"
    FEEDBACK_REQUEST = "feedback_request"
    NO_FIRST_SESSION = "no_first_session"
    CADENCE_MISSED = "cadence_missed"
    TWO_CANCELLATIONS = "two_cancellations"
    STALLED = "stalled"
    SILENCE_WARNING = "silence_warning"
    MIDPOINT = "midpoint"
    RECOGNITION = "recognition"
    PROGRAMME_COMPLETED = "programme_completed"
    DIGEST = "digest"


ESSENTIAL: frozenset[Kind] = frozenset(
    {
        Kind.WELCOME,
        Kind.PROPOSAL,
        Kind.PAIR_CREATED,
        Kind.PAIR_ENDED,
        Kind.SESSION_SCHEDULED,
        Kind.SESSION_CANCELLED,
        Kind.SESSION_CONFIRM_REQUEST,
    }
)
"""Without these a person cannot take part: they ignore preferences and the daily cap."""

OPTIONAL: frozenset[Kind] = frozenset(Kind) - ESSENTIAL
"""A person can unsubscribe from these, and they wait for tomorrow when the cap is reached."""
