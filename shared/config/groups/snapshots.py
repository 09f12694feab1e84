"""Settings: what is accepted."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field


class SnapshotGroup(BaseModel):
    """What is accepted."""

    min_rows: int = Field(20, ge=3, description="Fewest rows a snapshot must have.")
    max_snapshot_gb: float = Field(20.0, gt=0, description="Largest snapshot, in GB.")
    validation_max_bad_percent: float = Field(
        0.0,
        ge=0,
        le=100,
        description="Share of bad rows that training goes on without; 0: any bad row refuses.",
    )
    validation_max_rows: int = Field(5_000_000, ge=1, description="Most rows of a snapshot.")
    validation_max_expansion: float = Field(
        200.0, ge=1, description="A file may grow so many times when decompressed; beyond, it counts as a bomb."
    )
    validation_max_line_bytes: int = Field(
        8 * 2**20, ge=64, le=256 * 2**20, description="Longest row, in bytes; it has to fit into memory a few times."
    )
    validation_max_messages: int = Field(1000, ge=2, description="Most turns of one dialogue.")
    validation_context_tokens: int = Field(
        0, ge=0, description="Tokens the model sees of a row; 0: what the base model's tag says, else 4096."
    )
    validation_meaning: bool = Field(True, description="Whether warnings about what good rows say are looked for.")
    validation_spread_from_mb: float = Field(
        256.0,
        ge=0,
        description="Snapshots at least so large are checked part by part, by as many instances as there are; in MB.",
    )
    validation_part_mb: float = Field(
        64.0,
        gt=0,
        description="A larger file is checked in parts of about this size, each of which is begun again by itself when "
        "it is cut off; in MB, of a gzip file before it was compressed.",
    )
    validation_memory_mb: float = Field(
        1024.0,
        gt=0,
        description="Validations in one process take at most so much memory together, by estimate; further ones wait. "
        "Half of what an instance has is a good value; in MB.",
    )
    system_turns: Literal["auto", "allow", "fold", "reject"] = Field(
        "auto",
        description="What is done with system turns: kept (an error where the model's template has none), "
        "folded into the first user turn, or refused; `auto` keeps them, and folds them where the template has none "
        "or the serving image garbles them.",
    )
    accept_since: datetime | None = Field(
        None,
        description="Uploads before this time are left alone; empty: what an event tells of is taken, "
        "and of the rest what came since the first start.",
    )
    keep_days: float = Field(
        30.0,
        gt=0,
        description="Files of snapshots that ended without a model are kept so long; then they cannot be retried.",
    )
    keep_files_days: float = Field(
        0.0,
        ge=0,
        description="So many days the files that a model was trained on are kept, unless it serves or is the newest; "
        "0: for ever. Without them a release cannot be tried again.",
    )
    keep_evaluations_days: float = Field(
        0.0, ge=0, description="So many days evaluations of releases are kept that serve no more; 0: for ever."
    )
    keep_logs_days: float = Field(
        0.0,
        ge=0,
        description="So many days logs of failed steps and deployments, and reports of nights, are kept; 0: for ever.",
    )
