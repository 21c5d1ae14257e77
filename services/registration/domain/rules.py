"""What a broken rule is: it names the field, the reason and the remedy."""

from __future__ import annotations


class RuleBroken(Exception):  # noqa: N818 - named by the fact
    """What was asked contradicts the state of things; asking again later may succeed."""

    def __init__(self, field: str, reason: str, remedy: str) -> None:
        super().__init__(f"{field}: {reason} {remedy}")
        self.field = field
        self.reason = reason
        self.remedy = remedy


class Invalid(RuleBroken):
    """A value that is wrong in itself, whatever the state of things."""


class Overtaken(RuleBroken):
    """The question was answered, expired or became void before."""


class Unknown(RuleBroken):
    """There is no such thing, or none that the asker may know of."""

    def __init__(self, kind: str) -> None:
        super().__init__(
            f"{kind}_id", f"There is no {kind} with this id that you may see.", "Check the id."
        )
