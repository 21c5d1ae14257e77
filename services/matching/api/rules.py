"""The rules that a dry run may try in place of the programme's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    create_model,
    model_validator,
)

from services.matching.domain.people import Programme
from shared.catalogue import MatchingWeights, ProgrammeRules
from shared.problems import Problem

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


class _KnownChanges(_Changes):
    _known_only = model_validator(mode="before")(_known_only)


def _some_of(model: type[BaseModel], names: Iterable[str]) -> dict[str, Any]:
    """These fields of a model, none of which must be sent."""
    return {
        name: (
            field.rebuild_annotation(),
            Field(default=None, validate_default=False, description=field.description),
        )
        for name in names
        for field in (model.model_fields[name],)
    }


WeightChanges: type[BaseModel] = create_model(
    "WeightChanges",
    __base__=_Changes,
    __doc__="Weights to try; with those absent, which are as the programme has them, they must"
    " sum to 100.",
    **_some_of(MatchingWeights, MatchingWeights.model_fields),
)
RuleChanges: type[BaseModel] = create_model(
    "RuleChanges",
    __base__=_KnownChanges,
    __doc__="Rules to try; what is absent is as the programme has it, each weight by itself.",
    **_some_of(ProgrammeRules, _OF_PROGRAMMES)
    | {"weights": (WeightChanges, Field(default=None, validate_default=False))},
)


def in_full(changes: BaseModel | None, programme: Programme) -> dict[str, Any]:
    """The rules that differ from the programme's, weights completed by its own. Raises Problem."""
    asked = changes.model_dump(exclude_unset=True) if changes is not None else {}
    if "weights" in asked:
        weights = asdict(programme.weights) | asked["weights"]
        _check_sum(weights, [name for name in weights if name not in asked["weights"]])
        asked["weights"] = weights
    return asked


def _check_sum(weights: Mapping[str, float], filled_in: Iterable[str]) -> None:
    try:
        MatchingWeights(**weights)
    except ValidationError:
        total = sum(weights.values())
        own = ", ".join(f"{name} {weights[name]:g}" for name in filled_in)
        as_it_is = f", with {own} as the programme has them" if own else ""
        raise Problem(
            422, "weights", f"They sum to {total:g}{as_it_is}.", remedy="Make all seven sum to 100."
        ) from None
