"""What the answers have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Described(BaseModel):
    """A body whose fields are described in `/openapi.json` by the docstrings below them."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class Sent(Described):
    """A body that somebody sends: a field that is not known is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)
