"""First stage of an answer: who is asked, what is sent, and with which key.

A sleeping dataset is woken on the way: the request is recorded once, whoever asks and however often.
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING

from shared.azure import payloads
from shared.ledger.rows import Origin
from shared.ledger.states import DatasetState
from shared.serving.cache import SingleFlightCache
from shared.serving.calls import TOO_LATE_SECONDS, CallProgress, ChatCall, PreparedCall, ResolvedCall
from shared.serving.catalog import ROW_SECONDS, ROW_USABLE_SECONDS, ChatTarget, ModelCatalog, is_up
from shared.serving.prompt import prepare
from shared.serving.prospects import why_none
from shared.serving.protocol import ApiError

if TYPE_CHECKING:
    from shared.ledger.release import Release, ServingApi
    from shared.ledger.rows import Dataset
    from shared.runtime import Services

KEY_SECONDS = 300.0
# While Azure ML does not answer, a key that was read is good for so long.
KEY_USABLE_SECONDS = 3600.0
# A deployment whose OpenAI route was missing is asked there again after so long.
NO_ROUTE_SECONDS = 60.0
WAKE_RETRY_SECONDS = 30
_POLL_SECONDS = 1.0


class CallResolver:
    """Finds the target of a call. Rows and keys are kept for a while, so that most calls read nothing."""

    def __init__(self, services: Services, catalog: ModelCatalog) -> None:
        self._services, self._catalog = services, catalog
        self._keys: SingleFlightCache[str] = SingleFlightCache(self._read_key, KEY_SECONDS, KEY_USABLE_SECONDS)
        # Of datasets without a release: why none comes by itself, if none does.
        self._without: SingleFlightCache[str] = SingleFlightCache(self._why_none, ROW_SECONDS, ROW_USABLE_SECONDS)
        # Deployments that have no OpenAI route although their releases say so, and until when that is believed.
        self._at_score: dict[str, float] = {}

    async def resolve(self, progress: CallProgress) -> ResolvedCall:
        """Everything that is needed to ask. Raises ApiError: 400 to 422 for the call, 503 and 504 for the target."""
        try:
            async with asyncio.timeout(progress.left):
                target, release, prepared = await self._fit(progress.call, await self._wait_until_up(progress))
                key = await self._keys.get(target.row.endpoint)
                uri = payloads.address(target.row.scoring_uri, prepared.api)
                return ResolvedCall(target, release, uri, prepared, key)
        except TimeoutError as error:
            raise ApiError(504, "timeout", "storage or Azure ML took too long; nobody was asked") from error

    def forget(self, resolved: ResolvedCall, *, key: bool = False, row: bool = False, api: bool = False) -> None:
        """Have the key or the row read anew, unless another call has seen to it already.

        `api`: the deployment does not have the OpenAI route now, and is asked at `/score` for a while.
        """
        if api:
            self._at_score[resolved.release.deployment] = time.monotonic() + NO_ROUTE_SECONDS
        if row:
            self._catalog.forget(resolved.target.row.name)
        if key:
            self._keys.forget(resolved.target.row.endpoint, resolved.key)

    async def _fit(self, call: ChatCall, target: ChatTarget) -> tuple[ChatTarget, Release, PreparedCall]:
        """Who is asked by name, and what is sent. Raises ApiError (400, 422) if no release can take the call.

        A call that only some of the releases can take is sent to one of these: a rollout must not refuse what the live
        release answers. Of several one is drawn by its share of the traffic, as Azure would: so it is known who was
        asked, even if no answer comes, and a rollout is judged by it.
        """
        found: list[tuple[Release, PreparedCall]] = []
        refused: ApiError | None = None
        releases = target.may_answer()
        for release in releases:
            try:
                traits = await self._catalog.traits(release)
                found.append((release, prepare(call, self._api(release), traits, self._services.settings)))
            except ApiError as error:
                refused = refused or error
        if not found:
            assert refused is not None, "somebody may answer"
            raise refused
        if len(releases) == 1:
            return target, *found[0]
        shares = [target.row.traffic.get(release.deployment, 0) for release, _ in found]
        ((release, prepared),) = random.choices(found, shares if any(shares) else None)
        return ChatTarget(target.row, release), release, prepared

    def _api(self, release: Release) -> ServingApi:
        """The better way to ask a release."""
        missing = time.monotonic() < self._at_score.get(release.deployment, 0.0)
        return "score" if not release.api or missing else release.api

    async def _wait_until_up(self, progress: CallProgress) -> ChatTarget:
        """Who is to be asked, once it is awake; waits for that as long as the caller is willing to."""
        wait = min(progress.call.wait, self._services.settings.wake_wait_seconds)
        until = min(time.monotonic() + wait, progress.ends - TOO_LATE_SECONDS)
        while True:
            target = await self._catalog.find(progress.call.model)
            if is_up(target.row):
                return target
            self._catalog.forget(target.row.name)
            await self._wake(target.row)
            if time.monotonic() + _POLL_SECONDS > until:
                text = f"{target.row.name} was asleep and is waking: ask again in a while"
                raise ApiError(503, "waking", text, WAKE_RETRY_SECONDS)
            await asyncio.sleep(_POLL_SECONDS)

    async def _wake(self, row: Dataset) -> None:
        """Asks for a sleeping dataset to wake, once. Raises ApiError (503, 404) where it will not wake by that."""
        name, settings = row.name, self._services.settings
        if row.live is None:
            if why := await self._without.get(name):
                raise ApiError(404, "no_release", why, param="model")
            how = f"`droptune show {name}` says how far its newest snapshot is"
            raise ApiError(503, "no_release", f"{name} has no release yet ({row.state}): {how}", 60)
        if row.state != DatasetState.ASLEEP:
            return
        if not settings.wake_on_request:
            raise ApiError(503, "asleep", f"{name} is asleep; POST /api/datasets/{name}/wake wakes it")
        from shared.operations import actions  # brings the checks of admission; no first answer is to wait for them

        asked = await asyncio.to_thread(actions.ask, self._services, name, "wake", "a call", Origin.CALL)
        if not asked.done and (pause := row.wake_not_before - self._services.clock()) > 0:
            text = f"{name} is asleep and could not be woken lately; calls wake it again in {pause:.0f} s"
            raise ApiError(503, "wake_paused", text, max(1, round(pause)))

    async def _why_none(self, name: str) -> str:
        def read() -> str:
            return why_none(self._services, self._services.ledger.read(f"dataset/{name}").row)

        return await asyncio.to_thread(read)

    async def _read_key(self, endpoint: str) -> str:
        return await asyncio.to_thread(self._services.workspace.endpoints.key, endpoint)
