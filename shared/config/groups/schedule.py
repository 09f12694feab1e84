"""Settings: when things are looked at."""

from __future__ import annotations

from pydantic import BaseModel, Field


class ScheduleGroup(BaseModel):
    """When things are looked at."""

    look_seconds: int = Field(60, ge=1, description="Pause between two polls of something that runs in Azure.")
    fault_seconds: int = Field(30, ge=1, description="First pause after a failed step; it doubles each time.")
    event_listeners: int = Field(
        10,
        ge=0,
        le=1000,
        description="Most listeners to `GET /api/events` that one instance keeps; each takes one of the calls that the "
        "platform gives it at once. 0: nobody may listen, and clients poll.",
    )
    sweep_schedule: str = Field("0 */5 * * * *", description="When overdue rows and lost uploads are looked for.")
