"""Field types and the base class that all events of the catalogue share."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StringConstraints,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema


class _NoControlCharacters:
    """Refuses text that Postgres cannot hold (U+0000) or that breaks a mail's headers (a line end).

    In compiled code, for every text of every event passes here.
    """

    def __get_pydantic_core_schema__(
        self, source: type[str], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        text = handler(source)
        plain = core_schema.custom_error_schema(
            {**text, "pattern": r"^[^\x00-\x1f\x7f]*$"},
            custom_error_type="control_characters",
            custom_error_message="must not contain control characters; remove them",
        )
        # The limits come first, so that only the pattern is told in these words.
        return core_schema.chain_schema([text, plain])

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        described = handler(schema)
        described.pop("pattern", None)
        return described


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("is outside of the years 1 to 9999; correct the year") from None


Text = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=300),
    _NoControlCharacters(),
]
"""A short human text: 1 to 300 characters, no control characters."""

EmployeeId = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=64),
    _NoControlCharacters(),
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

    @classmethod
    def trusted(cls, values: dict[str, Any]) -> Self:
        """An event of values that were validated when they came to us, each field named.

        They are taken as they are: to validate them again takes longer than to publish the event.
        """
        event = cls.__new__(cls)
        state = {
            "__dict__": values,
            "__pydantic_fields_set__": set(values),
            "__pydantic_extra__": None,
            "__pydantic_private__": None,
        }
        event.__setstate__(state)
        return event

    @property
    def key(self) -> str:
        """The Kafka key: the id of the aggregate, so that its events stay in order."""
        return str(getattr(self, self.KEY))

    @property
    def erases(self) -> bool:
        """Whether it ends all that is known of its key, as a tombstone does."""
        return False
