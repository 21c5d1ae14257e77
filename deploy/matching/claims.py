"""What has to be said along with the figures of a run, so that they claim no more than is so."""

from __future__ import annotations

from services.matching.domain.instance import Instance
from services.matching.domain.people import Programme


def while_locked(given: Instance) -> str:
    """What follows how many can be served: without locked pairs that were formed it may be more."""
    # Half a second to import, which a wrong file need not wait for.
    from services.matching.domain.problem import with_locks

    return " while the locked pairs stay" if with_locks(given).formed else ""


def bonuses(programme: Programme) -> str:
    """For what pairs are worth more than their scores; empty: for nothing."""
    reasons = []
    if programme.score_floor:
        reasons.append(f"for reaching {programme.score_floor:g} points")
    if programme.stickiness:
        reasons.append("for being kept from before")
    return " or ".join(reasons)


def bonuses_included(programme: Programme) -> str:
    """What follows the objective."""
    added = bonuses(programme)
    return f", with what the programme adds {added}" if added else ""
