"""Settings: what may go live."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field
from pydantic_settings import NoDecode

from shared.config.groups.values import json_object


class GateGroup(BaseModel):
    """What may go live."""

    gate_prompts: int = Field(50, ge=1, le=1000, description="Held-out prompts a candidate is asked, at most.")
    gate_parameters: Annotated[dict[str, Any], NoDecode, json_object('{"do_sample": false}')] = Field(
        default_factory=lambda: {"do_sample": False},
        description="Generation parameters of the gate's questions, as a JSON object; without sampling, "
        "two models differ by what they learned and not by luck.",
    )
    gate_tries: int = Field(
        3, ge=1, le=20, description="How often a prompt is asked that is answered with 429, 503 or not in time."
    )
    gate_limit_minutes: float = Field(
        60.0, gt=0, description="Longest time a gate takes; what live has not answered by then is not compared."
    )
    gate_max_error_percent: float = Field(2.0, ge=0, lt=100, description="Share of the prompts that may fail.")
    gate_max_unusable_percent: float = Field(
        10.0, ge=0, lt=100, description="Share of the answers that may be empty, run in circles or show markers."
    )
    gate_min_likeness: float = Field(
        0.0,
        ge=0,
        le=100,
        description="Least mean likeness to the reference answers (chrF, of 100); 0: only recorded.",
    )
    gate_max_p95_seconds: float = Field(
        0.0, ge=0, description="Longest 95th percentile of the time to answer; 0: only recorded."
    )
    gate_margin: float = Field(
        10.0, ge=0, le=100, description="Points of likeness by which a candidate may be behind what is live."
    )
    gate_min_compared: int = Field(
        8, ge=2, le=1000, description="With fewer prompts to compare on, a candidate is `unjudged` against live."
    )
    gate_in_doubt: Literal["withhold", "release"] = Field(
        "withhold", description="What is done when the interval is too wide to tell whether the margin is kept."
    )
