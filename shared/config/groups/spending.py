"""Settings: what may be spent."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field, model_validator
from pydantic_settings import NoDecode

from shared.config.groups.values import json_object


class SpendingGroup(BaseModel):
    """What may be spent."""

    max_runs: int = Field(4, ge=1, description="Most training jobs at once; further snapshots wait.")
    max_runs_per_dataset: int = Field(1, ge=1, description="The same for one dataset.")
    max_runs_per_day: int = Field(20, ge=1, description="Most training jobs begun within 24 hours.")
    max_runs_per_day_per_dataset: int = Field(8, ge=1, description="The same for one dataset.")
    training_limit_hours: float = Field(24.0, gt=0, description="A training job that runs longer is canceled.")
    max_run_cost: float = Field(
        0.0,
        ge=0,
        description="Most that one training job may cost: refused above it by estimate, canceled when its time costs "
        "more; 0: no bound. Needs the price of the size that trains in `PRICES`.",
    )
    training_tokens_per_second: float = Field(
        0.0,
        ge=0,
        description="Tokens that one training machine gets through in a second, for the estimate; 0: as measured in "
        "earlier jobs.",
    )
    hyperparameter_limits: Annotated[dict[str, float], NoDecode, json_object('{"num_train_epochs": 3}')] = Field(
        default={"num_train_epochs": 10},
        description="Most that a `snapshot.json` may ask for, as a JSON object by hyperparameter. A limit on "
        "`num_train_epochs` rules `max_steps` out, unless that has one of its own.",
    )
    max_endpoints: int = Field(
        10,
        ge=1,
        description="Most datasets that have an endpoint at once; further releases wait, and no call wakes others.",
    )
    prices: Annotated[dict[str, float], NoDecode, json_object('{"Standard_NC6s_v3": 3.1}')] = Field(
        default_factory=dict,
        description="Price of a machine's hour, as a JSON object by size; for costs, idle reports and estimates.",
    )
    currency: str = Field("", description="What the prices are in, such as `EUR`.")

    def price_of(self, size: str) -> float | None:
        """The price of one machine's hour; None where `PRICES` has none for its size."""
        return {name.lower(): price for name, price in self.prices.items()}.get(size.lower())

    @model_validator(mode="after")
    def _a_cost_needs_prices(self) -> SpendingGroup:
        if self.max_run_cost and not self.prices:
            raise ValueError(f"MAX_RUN_COST = {self.max_run_cost:g}: needs PRICES, or it bounds nothing")
        return self

    @model_validator(mode="after")
    def _limits_of_numbers(self) -> SpendingGroup:
        from shared.config.hyperparameters import NUMBERS

        if unknown := sorted(self.hyperparameter_limits.keys() - set(NUMBERS)):
            raise ValueError(
                f"HYPERPARAMETER_LIMITS: {', '.join(unknown)} can have no limit; there are {', '.join(NUMBERS)}"
            )
        return self
