"""What the container of a deployment speaks: the OpenAI route beside `/score`, or `/score` alone.

Found out once for a deployment, by the steps `watch` and `probe`, with one or two requests whose body is an empty
object. No container makes a question of that, so that it costs nothing and may be repeated. A container with the OpenAI
route refuses it for its missing messages. One without says that there is no such path; then `/score` tells the serving
images of foundation models, which answer a failure with 200, from the generic MLflow image, which says that it failed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from shared.azure import payloads
from shared.azure.inference import EndpointAnswer
from shared.ledger.release import ServingApi

PROBE_SECONDS = 20.0
_NOT_FOUND = "Not Found"
# The container is there and understands the request, which it refuses.
_REFUSED = (400, 422)
# The path is not there; 200 is a container that answers whatever it is asked, and wherever.
_NO_SUCH_PATH = (200, 404, 405, 501)
# Says something about the moment or the way to the container, nothing about the container.
_PASSING = (0, 401, 403, 408, 424, 425, 429, 502, 503, 504)


class Asker(Protocol):
    """The one call that a probe makes."""

    async def probe(self, uri: str, key: str, deployment: str, timeout: float) -> EndpointAnswer: ...


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What a container speaks, or why that is not known now."""

    api: ServingApi
    why: str = ""


async def find_api(client: Asker, scoring_uri: str, key: str, deployment: str) -> ProbeResult:
    """Asks a deployment, whatever its traffic. Bounded by two times PROBE_SECONDS; raises nothing of its own."""
    chat = await client.probe(payloads.chat_address(scoring_uri), key, deployment, PROBE_SECONDS)
    status = _status(chat)
    if status in _REFUSED:
        return ProbeResult("openai")
    if status not in _NO_SUCH_PATH:
        return ProbeResult("", _unclear(chat))
    score = await client.probe(scoring_uri, key, deployment, PROBE_SECONDS)
    if score.status == 200:
        return ProbeResult("score")
    status = _status(score)
    if status in (*_PASSING, 404):
        return ProbeResult("", _unclear(score))
    return ProbeResult("mlflow")


def path_is_missing(answer: EndpointAnswer) -> bool:
    """Whether a container says that it has no such path."""
    return answer.status == 424 and _status(answer) == 404 and answer.detail == _NOT_FOUND


def _status(answer: EndpointAnswer) -> int:
    """What the container itself answered; the endpoint's front says 424 for whatever is not 200 behind it."""
    if answer.status == 424 and not answer.container_status and answer.detail == _NOT_FOUND:
        return 404
    return answer.container_status or answer.status


def _unclear(answer: EndpointAnswer) -> str:
    return f"HTTP {_status(answer)}" if answer.status else answer.detail
