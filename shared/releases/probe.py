"""Finds out what the container of a release's deployment speaks, once, and keeps it with the release.

Called by the step `watch` when a new deployment is up, before the gate asks it anything, and by the step `probe` for
releases that went live with an older version. A probe costs nothing (`shared.azure.probe`), so a repeat after being cut
off is harmless. One that tells nothing is repeated a few times, then `/score` is believed to be all there is.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.azure.probe import ProbeResult, find_api
from shared.errors import PipelineError
from shared.ledger.engine import StepResult
from shared.ledger.states import DatasetState

if TYPE_CHECKING:
    from shared.errors import PermanentError
    from shared.ledger.fence import HeldLease
    from shared.ledger.release import Release
    from shared.ledger.rows import Dataset
    from shared.runtime import Services

log = logging.getLogger(__name__)

# After so many probes that told nothing a release is asked at `/score`, which every container has.
MOST_PROBES = 5
_SPOKEN = {
    "openai": "the OpenAI route",
    "score": "/score alone: no streaming, no finish reason, no token counts",
    "mlflow": "/score of the generic MLflow image: no streaming, turns must alternate, no system turns",
}


@dataclass(frozen=True, slots=True)
class Probe:
    """LIVE -> LIVE: what the container of a live release speaks is put on record, where no version has yet."""

    services: Services

    def ready(self, row: Dataset) -> bool:
        """Whether it is not on record."""
        return row.to_probe

    def act(self, row: Dataset, lease: HeldLease) -> StepResult:
        """Asks once; polled again where that told nothing."""
        assert row.live is not None
        found = probed(self.services, row, row.scoring_uri, row.live)
        reason = f"{found.deployment} speaks {spoken(found)}" if found.api else ""
        pause = 0 if found.api else self.services.settings.look_seconds
        return StepResult(DatasetState.LIVE, reason, {"live": found}, pause)

    def failed(self, row: Dataset, error: PermanentError) -> None:
        """What goes wrong with a probe is counted, not raised."""


def probed(services: Services, row: Dataset, scoring_uri: str, release: Release) -> Release:
    """The release with what its container speaks; with one more probe on record if that is not known yet."""
    if release.api:
        return release
    result = _probe(services, row.endpoint, scoring_uri, release.deployment)
    if not result.api:
        log.info("what %s speaks is not known yet: %s", release.deployment, result.why)
        if release.probes + 1 < MOST_PROBES:
            counted: Release = release.but(probes=release.probes + 1)
            return counted
    known: Release = release.but(api=result.api or "score", probes=0)
    return known


def spoken(release: Release) -> str:
    """What a container speaks, in words."""
    return _SPOKEN[release.api]


def _probe(services: Services, endpoint: str, scoring_uri: str, deployment: str) -> ProbeResult:
    try:
        key = services.workspace.endpoints.key(endpoint)
    except PipelineError as error:
        return ProbeResult("", str(error))

    async def ask() -> ProbeResult:
        try:
            return await find_api(services.inference, scoring_uri, key, deployment)
        finally:
            await services.inference.close()

    return asyncio.run(ask())
