"""Settings: how questions are answered."""

from __future__ import annotations

from pydantic import BaseModel, Field, SecretStr, field_validator

from shared.config.groups.values import keys_in

SHORTEST_KEY = 16


class ServingGroup(BaseModel):
    """How questions are answered."""

    serving_instance_type: str = Field("Standard_NC24ads_A100_v4", description="Machine size that serves.")
    serving_instances: int = Field(1, ge=1, le=50, description="Machines behind an endpoint.")
    serving_concurrency: int = Field(
        1,
        ge=1,
        le=1000,
        description="Questions one machine answers at once; also the processes of its serving image (WORKER_COUNT, at "
        "most 64), which each take memory.",
    )
    serving_start_seconds: int = Field(
        1200,
        ge=60,
        le=3600,
        description="How long a container may take to load its model before it is restarted; models of 14 billion "
        "parameters take 10 to 20 minutes.",
    )
    scoring_timeout_seconds: int = Field(90, ge=1, le=180, description="Longest wait for one answer.")
    max_new_tokens: int = Field(200, ge=1, le=16384, description="Longest answer when the caller names none.")
    scoring_keys: SecretStr | None = Field(
        None,
        description="Keys of those who may ask models, 16 characters or more each, with blanks or commas between; "
        "without one nobody can ask.",
    )
    call_seconds: float = Field(
        200.0, ge=1, le=225, description="Longest a question may take in all; the platform cuts it off at 230 s."
    )
    calls_at_once: int = Field(
        200, ge=1, description="Most questions one instance of the app works on at once; others are told to come back."
    )
    call_max_bytes: int = Field(1_000_000, ge=1000, description="Largest question, in bytes.")

    @field_validator("scoring_keys")
    @classmethod
    def _long_keys(cls, value: SecretStr | None) -> SecretStr | None:
        if value and any(len(key) < SHORTEST_KEY for key in keys_in(value)):
            raise ValueError(f"a key has at least {SHORTEST_KEY} characters")
        return value
