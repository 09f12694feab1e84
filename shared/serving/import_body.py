"""What callers send to have a dataset of the Hub imported: the body of `POST /api/imports`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from shared.serving.turns import RequestModel

_HUB_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,95}(/[A-Za-z0-9][A-Za-z0-9_.-]{0,95})?$"
_WORD = r"^[A-Za-z0-9_./ -]*$"
Column = Annotated[str, Field(max_length=100)]
SplitName = Annotated[str, Field(min_length=1, max_length=100, pattern=_WORD)]


class ImportBody(RequestModel):
    """A dataset of the Hub, how much of it, how its rows are read, and the dataset it becomes a snapshot of."""

    source: str = Field(pattern=_HUB_NAME, description="The dataset's name on the Hub, `owner/name`.")
    dataset: str = Field(max_length=41, description="The dataset here that it becomes a snapshot of.")
    subset: str = Field("", max_length=100, pattern=_WORD, description="Where the Hub's dataset has several.")
    revision: str = Field(
        "",
        max_length=100,
        pattern=_WORD,
        description="A branch, a tag, or a commit of the main branch; else the newest.",
    )
    splits: tuple[SplitName, ...] = Field(
        (), max_length=10, description="Splits of the Hub's dataset; else the plain ones."
    )
    fraction: float = Field(1.0, gt=0, le=1, description="A sample: so large a part of the rows.")
    rows: int = Field(0, ge=0, le=10**9, description="At most so many rows of each split; 0: all.")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="The same seed takes the same sample.")
    shape: str = Field("", max_length=40, description="The shape of the rows, where it is a choice.")
    user: tuple[Column, ...] = Field((), max_length=10, description="Columns of the question.")
    assistant: Column = Field("", description="Column of the answer.")
    system: Column = Field("", description="Column of the system turn.")
    turns: Column = Field("", description="Column with the list of turns.")
    options: dict[str, Any] = Field(
        default_factory=dict, description="What `snapshot.json` may have: `hyperparameters`, `base_model`, ..."
    )
