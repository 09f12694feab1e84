"""How the HTTP functions describe themselves, for the OpenAPI document. Light: loaded when the app is indexed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

# Who may call: whoever has a key to ask with (`ask`), whoever has a function key (`function`), who
# has the master key (`admin`), or anybody.
type Caller = Literal["ask", "function", "admin", "anybody"]

# Errors that routes of a kind have in common, by HTTP status.
ASK_ERRORS = (400, 401, 404, 413, 415, 422, 429, 500, 502, 503, 504)
ACTION_ERRORS = (401, 404, 409, 503)
STATUS_ERRORS = (401, 404, 503)
LIST_ERRORS = (400, 401, 503)

BY = ("by", "Who asks, in words.")
# What every list that comes in pages takes.
PAGE = (
    ("limit", "How many at most, up to 200; 50 without it."),
    ("before", "The `next` of the page before: what comes after it. The other parameters must be the same."),
)


@dataclass(frozen=True, slots=True)
class ApiRoute:
    """One route. `body` is a model of `requests`, `answer` and `streams` of `protocol`; `query`: name, text.

    `media`: the type of an answer that is no model. `previews`: it answers 200 where it only says what would be done.
    """

    method: Literal["GET", "POST", "DELETE"]
    path: str
    summary: str
    caller: Caller = "function"
    errors: tuple[int, ...] = ()
    body: str = ""
    answer: str = ""
    streams: str = ""
    status: int = 200
    previews: bool = False
    query: tuple[tuple[str, str], ...] = ()
    media: str = "application/json"

    @property
    def name(self) -> str:
        """A name for code generators."""
        return "_".join([self.method.lower(), *re.findall(r"\w+", self.path)])
