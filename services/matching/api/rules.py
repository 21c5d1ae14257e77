"""The rules that a dry run may try in place of the programme's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, create_model, model_validator

from shared.catalogue import MatchingWeights, ProgrammeRules

_OF_PROGRAMMES = (
    "min_level_gap",
    "target_level_gap",
    "mentor_capacity",
    "mentee_capacity",
    "different_department",
    "min_overlap_minutes",
    "training_required",
    "score_floor",
    "stickiness",
    "weights",
)
_MOST_NAMED = 5
_LONGEST_NAME = 60


def _known_only(sent: Any) -> Any:
    """What was sent, if all of it is known: a typo must not pass for a result."""
    if isinstance(sent, Mapping):
        inner = sent.get("weights")
        _refuse(name for name in sent if name not in _OF_PROGRAMMES)
        if isinstance(inner, Mapping):
            _refuse(f"weights.{name}" for name in inner if name not in MatchingWeights.model_fields)
    return sent


def _refuse(unknown: Iterable[object]) -> None:
    # Half a surrogate is JSON, but no text that an answer could repeat.
    names = [str(name)[:_LONGEST_NAME].encode(errors="replace").decode() for name in unknown]
    if names:
        raise ValueError(
            f"{', '.join(names[:_MOST_NAMED])}: no rule of matching; protected attributes such as"
            f" age, gender or ethnicity are never used; the rules are {', '.join(_OF_PROGRAMMES)}"
        )


class _Changes(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    _known_only = model_validator(mode="before")(_known_only)


RuleChanges: type[BaseModel] = create_model(
    "RuleChanges",
    __base__=_Changes,
    __doc__="Rules to try; what is absent is as the programme has it.",
    **{  # type: ignore[call-overload]
        name: (
            ProgrammeRules.model_fields[name].rebuild_annotation(),
            Field(default=None, validate_default=False),
        )
        for name in _OF_PROGRAMMES
    },
)
