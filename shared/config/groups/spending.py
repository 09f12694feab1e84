"""Settings: what may be spent."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field
from pydantic_settings import NoDecode

from shared.config.groups.values import json_object


class SpendingGroup(BaseModel):
    """What may be spent."""

    max_runs: int = Field(4, ge=1, description="Most training jobs at once; further snapshots wait.")
    max_runs_per_dataset: int = Field(1, ge=1, description="The same for one dataset.")
    max_runs_per_day: int = Field(20, ge=1, description="Most training jobs begun within 24 hours.")
    max_runs_per_day_per_dataset: int = Field(8, ge=1, description="The same for one dataset.")
    training_limit_hours: float = Field(24.0, gt=0, description="A training job that runs longer is canceled.")
    max_endpoints: int = Field(
        10,
        ge=1,
        description="Most datasets that have an endpoint at once; further releases wait, and no call wakes others.",
    )
    prices: Annotated[dict[str, float], NoDecode, json_object('{"Standard_NC6s_v3": 3.1}')] = Field(
        default_factory=dict,
        description="Price of a machine's hour, as a JSON object by size; for the idle report.",
    )
    currency: str = Field("", description="What the prices are in; for the idle report.")
