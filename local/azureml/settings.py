"""What can be set: how fast things move, how much quota there is, which endpoint names others hold.

Read from `--settings FILE` (JSON) at the start and changed by the control API while running.
"""

from __future__ import annotations

import asyncio
import time
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

import msgspec

# As Azure's list of sizes for managed online endpoints has it ("Skip 20% Reservation").
WITHOUT_RESERVE = (
    "Standard_NC24ads_A100_v4",
    "Standard_NC48ads_A100_v4",
    "Standard_NC96ads_A100_v4",
    "Standard_NC40ads_H100_v5",
    "Standard_NC80adis_H100_v5",
    "Standard_ND96asr_v4",
    "Standard_ND96amsr_A100_v4",
    "Standard_ND40rs_v2",
    "Standard_ND96isr_H100_v5",
)

# In `quota`: the bound over all families.
TOTAL = "total"


class Pace(msgspec.Struct, forbid_unknown_fields=True):
    """How long each kind of progress takes at least, and how often pollers are told to come back."""

    job_queue_seconds: float = 0.0
    job_step_seconds: float = 0.05
    job_finalize_seconds: float = 0.0
    deployment_seconds: float = 0.05
    endpoint_seconds: float = 0.05
    compute_seconds: float = 0.05
    delete_seconds: float = 0.0
    poll_hint_ms: int = 100


type Container = Literal["fmi", "serve", "score", "mlflow"]
PLAIN = "plain"


class ServingSettings(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """How a deployment answers. The model behind it stays the same; flavours and serving code differ in this."""

    # The image that a real deployment would run, mistakes included (see serving.containers): `fmi` is what Phi-4's
    # models get, `serve` its newer form, `score` one without OpenAI routes, `mlflow` the generic image. None: a plain
    # server that makes no mistakes.
    container: Container | None = None
    # The longest prompt and answer together, in words.
    context_words: int = 16384
    # As MLflow's flavours do: `{"output": text}`, `[text]`, `[{"0": text}]`; or as a chat completion.
    shape: Literal["output", "texts", "records", "completion"] = "output"
    # Whether a question with `stream` is answered word by word, as server-sent events.
    streams: bool = False
    # The model thinks this long before it says anything, and this long after each word of a stream.
    answer_seconds: float = 0.0
    word_seconds: float = 0.0
    # Its connection breaks after so many words of a stream.
    breaks_after: int | None = None


class CloudSettings(msgspec.Struct, forbid_unknown_fields=True):
    """Everything that may differ from one local cloud to another."""

    pace: Pace = msgspec.field(default_factory=Pace)
    # Cores by virtual machine family; `*` for the families not named, `total` for all together (none: no bound).
    quota: dict[str, int] = msgspec.field(default_factory=lambda: {"*": 1000})
    # Share of extra cores that a deployment reserves for its own upgrades, and the sizes that need none.
    upgrade_reserve: float = 0.2
    sizes_without_reserve: list[str] = msgspec.field(default_factory=lambda: list(WITHOUT_RESERVE))
    # Cores by family that somebody else in the subscription uses.
    cores_of_others: dict[str, int] = {}
    # Endpoint names that somebody else in the region has taken.
    taken_endpoint_names: list[str] = msgspec.field(default_factory=list)
    # How deployments answer, by `endpoint/deployment`; the first pattern that fits counts.
    serving: dict[str, ServingSettings] = {}
    # The image of deployments that no pattern fits: by default the one that Phi-4's models get.
    container: Container | None = "fmi"
    # A container that does not answer by then is given up, whatever its probe allows.
    deployment_timeout_seconds: float = 60.0
    # Roles of the app's identity by scope (`subscription`, `workspace`); None: it may do everything.
    roles: dict[str, list[str]] | None = None
    # Identities that may read (and write) a datastore, by its name: `serverless`, or `cluster/<name>`, or the client id
    # of a user-assigned identity. A datastore not named here has an account key, so every job may.
    datastore_readers: dict[str, list[str]] = {}
    # Clusters that a template made before anything ran: the user-assigned identity of each, by name. They have one
    # machine at most of Standard_NC24ads_A100_v4, and none while nothing trains.
    clusters: dict[str, str] = {}
    # `retry`: a job interrupted by a stop of this process goes on at the interrupted step; `fail`:
    # NotResponding.
    interrupted_jobs: str = "retry"

    def serving_of(self, deployment: str) -> ServingSettings:
        """How `endpoint/deployment` answers."""
        fitting = (how for pattern, how in self.serving.items() if fnmatchcase(deployment, pattern))
        return next(fitting, None) or ServingSettings(container=self.container)


def read_settings(path: Path | None) -> CloudSettings:
    """The settings in a JSON file, or the defaults."""
    if path is None:
        return CloudSettings()
    return msgspec.json.decode(path.read_bytes(), type=CloudSettings)


def changed[T: msgspec.Struct](current: T, changes: dict[str, Any]) -> T:
    """A copy with some values replaced; raises msgspec.ValidationError for unknown names and wrong types."""
    merged = {**msgspec.to_builtins(current), **changes}
    return msgspec.convert(merged, type(current))


class Pacer:
    """Waits as long as the settings say, also when they change during the wait."""

    def __init__(self, settings: CloudSettings) -> None:
        self.settings = settings
        self._changed = asyncio.Event()

    def change(self, settings: CloudSettings) -> None:
        """Use other settings; waits under way look again at once."""
        self.settings = settings
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait(self, name: str, since: float | None = None) -> None:
        """Return once `pace.<name>` seconds have passed since a monotonic time (default: now)."""
        start = time.monotonic() if since is None else since
        while (left := start + getattr(self.settings.pace, name) - time.monotonic()) > 0:
            try:
                await asyncio.wait_for(self._changed.wait(), left)
            except TimeoutError:
                return
