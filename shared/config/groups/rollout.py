"""Settings: how traffic moves, and back."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

from pydantic import BaseModel, Field, field_validator, model_validator
from pydantic_settings import NoDecode


class RolloutGroup(BaseModel):
    """How traffic moves, and back."""

    deploy_limit_minutes: float = Field(90, gt=0, description="A deployment not ready by then has failed.")
    rollout_stages: Annotated[tuple[int, ...], NoDecode] = Field(
        (10, 50, 100), description="Shares of the traffic, in percent, that a candidate gets one after the other."
    )
    rollout_bake_minutes: float = Field(15.0, gt=0, description="How long each stage lasts at least.")
    rollout_wait_minutes: float = Field(
        30.0, ge=0, description="How much longer a stage waits for requests; then it goes on `unjudged`."
    )
    rollout_min_requests: int = Field(
        20, ge=1, description="Answered calls of a stage that it takes to say that a candidate is not worse than live."
    )
    rollout_max_error_points: float = Field(
        2.0,
        ge=0,
        lt=100,
        description="Percentage points by which a candidate's share of calls that fail, are refused or are given up "
        "may be above live's.",
    )
    rollout_max_latency_ratio: float = Field(
        1.5, ge=1, description="How many times live's 95th percentile of the latency a candidate's may be."
    )
    rollback_keep_hours: float = Field(
        24.0, ge=0, description="How long the deployment before stays, to go back to; it costs what a live one does."
    )
    orphan_grace_hours: float = Field(
        6.0,
        gt=0,
        description="What carries this installation's tag and is in no row costs money; it is removed after so long.",
    )

    @field_validator("rollout_stages", mode="before")
    @classmethod
    def _stages(cls, value: object) -> object:
        """Shares that rise up to 100, e.g. from `10,50,100`."""
        shares = value.split(",") if isinstance(value, str) else value
        try:
            found = tuple(int(share) for share in shares)  # type: ignore[attr-defined]
        except (TypeError, ValueError) as error:
            raise ValueError("must be whole numbers between commas, e.g. 10,50,100") from error
        if not found or found[0] < 1 or found[-1] != 100 or any(a >= b for a, b in pairwise(found)):
            raise ValueError("must rise from 1 or more to 100, e.g. 10,50,100")
        return found

    @model_validator(mode="after")
    def _patient(self) -> RolloutGroup:
        longest = max(self.deploy_limit_minutes, self.rollout_bake_minutes + self.rollout_wait_minutes)
        if self.orphan_grace_hours * 60 <= longest:
            raise ValueError(
                f"ORPHAN_GRACE_HOURS = {self.orphan_grace_hours:g}: must be longer than any step, so more than "
                f"{longest / 60:g} h (DEPLOY_LIMIT_MINUTES, ROLLOUT_BAKE_MINUTES + ROLLOUT_WAIT_MINUTES)"
            )
        return self
