"""Field types and the base class that all events of the catalogue share."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, StringConstraints


def _no_control_characters(text: str) -> str:
    # What prints holds none, and that is told a hundred times faster than by looking at each.
    if not text.isprintable() and any(ord(c) < 32 or ord(c) == 127 for c in text):
        # Postgres text cannot hold U+0000, and a line break in a title breaks mail headers.
        raise ValueError("must not contain control characters; remove them")
    return text


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("is outside of the years 1 to 9999; correct the year") from None


Text = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=300),
    AfterValidator(_no_control_characters),
]
"""A short human text: 1 to 300 characters, no control characters."""

EmployeeId = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=64),
    AfterValidator(_no_control_characters),
]
"""The HR platform's stable key of a person; opaque to us."""

Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]
"""An instant with zone, normalised to UTC."""

Role = Literal["mentor", "mentee"]
"""The mentor is the junior who teaches, the mentee the senior who learns."""


class Model(BaseModel):
    """A frozen value on the wire; readers ignore fields that they do not know."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)


class Event(Model):
    """A past-tense fact. Subclasses say their wire type, topic and key field."""

    TYPE: ClassVar[str]
    TOPIC: ClassVar[str]
    KEY: ClassVar[str]

    @property
    def key(self) -> str:
        """The Kafka key: the id of the aggregate, so that its events stay in order."""
        return str(getattr(self, self.KEY))
