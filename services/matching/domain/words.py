"""What a result says of a pair or of somebody left out, in plain words.

Each hears what they may know. A manager hears all. A participant hears neither points nor the
score, from which what is kept from them could be reckoned back; a mentor never hears the mentee's
level or waiting time; neither hears who the alternatives were, or that anybody was blocked or
declined.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

Audience: TypeAlias = Literal["mentor", "mentee", "manager"]
