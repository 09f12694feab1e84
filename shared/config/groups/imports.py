"""Settings: imports from the Hugging Face Hub."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import BaseModel, Field, field_validator
from pydantic_settings import NoDecode

_PATTERN = re.compile(r"\*|[\w.-]{1,96}(/(\*|[\w.-]{1,96}))?")


class ImportGroup(BaseModel):
    """Imports from the Hugging Face Hub."""

    import_sources: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Datasets of the Hub that may be imported: `owner/name` or `owner/*`, commas between; empty: none, "
        "imports are off.",
    )
    import_max_rows: int = Field(200_000, ge=1, description="Most rows that one import writes.")
    import_max_mb: int = Field(1024, ge=1, description="Most MB that one import writes.")
    import_max_minutes: float = Field(120.0, gt=0, description="Most minutes that one import takes in all.")

    @field_validator("import_sources", mode="before")
    @classmethod
    def _patterns(cls, value: object) -> object:
        """Names and patterns, e.g. from `HuggingFaceH4/*, tatsu-lab/alpaca`."""
        found = value.replace(",", " ").split() if isinstance(value, str) else value
        for one in found:  # type: ignore[attr-defined]
            if not _PATTERN.fullmatch(one):
                raise ValueError(f"{one[:60]!r} is neither owner/name nor owner/*; commas between")
        return tuple(found)  # type: ignore[arg-type]

    def may_import(self, source: str) -> bool:
        """Whether a dataset of this name may be imported."""
        return any(fnmatchcase(source, pattern) for pattern in self.import_sources)
