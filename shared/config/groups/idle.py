"""Settings: when endpoints sleep and wake."""

from __future__ import annotations

from pydantic import BaseModel, Field, field_validator

from shared.config import hours


class IdleGroup(BaseModel):
    """When endpoints sleep and wake."""

    idle_hours: float = Field(24.0, gt=0, description="An endpoint nobody asked for so long is put to sleep.")
    idle_min_age_hours: float = Field(0.0, ge=0, description="An endpoint that came up less than so long ago stays.")
    idle_dry_run: bool = Field(False, description="Whether the timer only reports which endpoints are idle.")
    keep_warm: str = Field(
        "",
        description="When the timer puts nothing to sleep, e.g. `Mon-Fri 08:00-18:00 Europe/Berlin`; several: `;`.",
    )
    sleep_schedule: str = Field("0 0 2 * * *", description="When idle endpoints are looked for (UTC).")
    wake_on_request: bool = Field(True, description="Whether a question wakes a sleeping dataset.")
    wake_wait_seconds: float = Field(
        120.0, ge=0, le=220, description="Longest a question waits for a wake, if it says `Prefer: wait=`."
    )
    wake_backoff_minutes: float = Field(
        5.0,
        gt=0,
        description="After a wake that failed no question wakes for so long; it doubles each time, up to a day.",
    )

    @field_validator("keep_warm")
    @classmethod
    def _hours(cls, value: str) -> str:
        hours.parse(value)
        return value
