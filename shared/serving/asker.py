"""Second stage of an answer: the endpoint is asked, once.

It is asked once more only if it surely did not answer and something is different now: a new key or address, a busy
deployment that said when to come back, a connection that was never made. Each of these happens once for a call.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from shared.azure.probe import path_is_missing
from shared.serving.calls import TOO_LATE_SECONDS, CallProgress, ResolvedCall
from shared.serving.protocol import ApiError

if TYPE_CHECKING:
    from shared.azure.inference import EndpointAnswer
    from shared.runtime import Services
    from shared.serving.resolver import CallResolver

log = logging.getLogger(__name__)

# How a deployment is asked to stream; one that cannot takes no notice.
_STREAM = {"stream": True, "stream_options": {"include_usage": True}}


class EndpointAsker:
    """Sends calls to endpoints, within the time of each call."""

    def __init__(self, services: Services, resolver: CallResolver) -> None:
        self._services, self._resolver = services, resolver

    async def ask(self, progress: CallProgress, resolved: ResolvedCall, streamed: bool) -> EndpointAnswer:
        """The endpoint's answer, whatever it is; close it. Raises ApiError (504) when no time is left to ask."""
        target, left = resolved.target, progress.left
        if left < TOO_LATE_SECONDS:
            raise ApiError(504, "timeout", f"{target.row.name}: no time is left to ask")
        most = min(self._services.settings.scoring_timeout_seconds, left)
        given = {"deployment": target.deployment, "request_id": progress.call.request_id}
        inference, uri, body = self._services.inference, resolved.uri, resolved.prepared.body
        if streamed:
            return await inference.stream(uri, resolved.key, {**body, **_STREAM}, left, pause=most, **given)
        return await inference.ask(uri, resolved.key, body, most, **given)

    async def may_ask_again(self, progress: CallProgress, resolved: ResolvedCall, answer: EndpointAnswer) -> bool:
        """Whether nobody has answered and another try may go better. Sees to what has to be different then."""
        match answer.status:
            case 401 if progress.first("key"):
                self._resolver.forget(resolved, key=True)
            case 424 if _has_no_route(resolved, answer) and progress.first("route"):
                log.warning("%s has no OpenAI route now: it is asked at /score", resolved.release.deployment)
                self._resolver.forget(resolved, api=True)
            case 404 if progress.first("address"):
                self._resolver.forget(resolved, key=True, row=True)
            case 429 if answer.retry_after.isdigit() and progress.first("patience"):
                patience = int(answer.retry_after)
                if patience >= progress.left - TOO_LATE_SECONDS:
                    return False
                await asyncio.sleep(patience)
            case 0 if answer.lost == "unsent" and progress.first("connection"):
                self._resolver.forget(resolved, row=True)
            case _:
                return False
        return True


def _has_no_route(resolved: ResolvedCall, answer: EndpointAnswer) -> bool:
    """Whether the container does not know the path that it was asked at, so that nobody has answered."""
    return resolved.prepared.api == "openai" and path_is_missing(answer)
