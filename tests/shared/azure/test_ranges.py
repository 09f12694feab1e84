"""Ranges of a blob through the SDK's pipeline, over a transport that loses, cuts off, mixes up and refuses answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Self

import pytest
from azure.core.exceptions import (
    AzureError,
    IncompleteReadError,
    ServiceResponseError,
    ServiceResponseTimeoutError,
)
from azure.core.pipeline.transport import HttpTransport
from azure.storage.blob import BlobServiceClient, LinearRetry
from azure.storage.queue import QueueServiceClient

from shared.azure.storage import Storage, ranges
from shared.errors import AccessDenied, LedgerConflict, NotFound, ServiceBusy

ETAG = "0x8D"
DATA = bytes(range(256)) * 4
SIGNATURE = "c2VjcmV0LXNpZ25hdHVyZQ=="
ADDRESS = "https://account.blob.core.usgovcloudapi.net"


class Answer:
    """An answer as the pipeline sees it: pieces of a body, and what the connection does behind the last one."""

    def __init__(
        self,
        request: Any,
        status: int,
        pieces: tuple[bytes, ...] = (),
        then: AzureError | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.request, self.status_code, self.pieces, self.then = request, status, pieces, then
        self.headers = {"ETag": f'"{ETAG}"', "Content-Length": str(sum(map(len, pieces))), **headers}
        self.reason, self.content_type = "", "application/xml"
        self.closed = False

    def iter_raw(self) -> Iterator[bytes]:
        yield from self.pieces
        if self.then is not None:
            raise self.then

    def read(self) -> bytes:
        return b""

    def text(self, encoding: str | None = None) -> str:
        return ""

    def close(self) -> None:
        self.closed = True


type Play = Callable[[Any, bytes], Answer]


class Transport(HttpTransport[Any, Any]):
    """Answers requests for ranges of `DATA`; the first ones as `plays` say."""

    def __init__(self, *plays: Play) -> None:
        self.plays, self.requests, self.answers = list(plays), list[Any](), list[Answer]()
        self.timeouts: list[float] = []

    def send(self, request: Any, **options: Any) -> Any:
        self.requests.append(request)
        if request.method == "HEAD":
            return Answer(request, 200, headers={"Content-Length": str(len(DATA)), "x-ms-blob-type": "BlockBlob"})
        first, last = map(int, request.headers["x-ms-range"].removeprefix("bytes=").split("-"))
        self.timeouts.append(options["read_timeout"])
        wanted = DATA[first : last + 1]
        play = self.plays.pop(0) if self.plays else whole
        answer = play(request, wanted)
        self.answers.append(answer)
        return answer

    def open(self) -> None: ...
    def close(self) -> None: ...
    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None: ...

    @property
    def asked(self) -> list[str]:
        """The ranges, in their order."""
        return [request.headers["x-ms-range"] for request in self.requests if request.method == "GET"]


def whole(request: Any, wanted: bytes) -> Answer:
    return Answer(request, 206, (wanted[:5], wanted[5:]))


def cut(then: AzureError | None, given: int) -> Play:
    return lambda request, wanted: Answer(request, 206, (wanted[:given],), then)


def refused(status: int, code: str, headers: Mapping[str, str] = MappingProxyType({})) -> Play:
    return lambda request, wanted: Answer(request, status, headers={"x-ms-error-code": code, **headers})


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "BACKOFF_SECONDS", 0)
    monkeypatch.setattr(ranges, "JITTER_SECONDS", 0)


def storage_over(transport: Transport) -> Storage:
    """Storage in a sovereign cloud, signed in with a shared access signature."""
    quick: Any = LinearRetry(backoff=0, random_jitter_range=0, retry_total=3, retry_status=3)
    sas = f"sv=2026-01-01&sig={SIGNATURE}"
    blobs = BlobServiceClient(f"{ADDRESS}?{sas}", transport=transport, retry_policy=quick)
    return Storage(blobs, QueueServiceClient(f"https://account.queue.core.usgovcloudapi.net?{sas}"), read_block=400)


def read_all(transport: Transport) -> bytes:
    with storage_over(transport).open("snapshots", "a/b.jsonl", ETAG) as file:
        return file.read()


def test_each_range_is_asked_for_once_of_one_version_at_the_address_and_with_the_signature_given() -> None:
    transport = Transport()
    assert read_all(transport) == DATA
    assert sorted(transport.asked) == ["bytes=0-399", "bytes=400-799", "bytes=800-1023"]
    for request in transport.requests:
        assert request.url.startswith(f"{ADDRESS}/snapshots/a/b.jsonl?")
        assert "sig=" in request.url
        assert request.headers["If-Match"] == f'"{ETAG}"'
        assert request.headers["x-ms-version"] >= "2020"
    assert all(answer.closed for answer in transport.answers)
    assert all(0 < seconds <= 10 for seconds in transport.timeouts)


BROKEN: dict[str, AzureError | None] = {
    "reset": ServiceResponseError("connection reset"),
    "cut off": IncompleteReadError("7 of 400 bytes"),
    "slow": ServiceResponseTimeoutError("read timed out"),
    "truncated without a word": None,
}


@pytest.mark.parametrize("then", BROKEN.values(), ids=list(BROKEN))
@pytest.mark.parametrize("given", [0, 7, 399])
def test_a_body_that_ends_early_is_asked_for_again_from_there(then: AzureError | None, given: int) -> None:
    transport = Transport(cut(then, given), cut(then, 0))
    room = bytearray(400)
    client = storage_over(transport)._blob("snapshots", "a")
    ranges.fill(client, 100, memoryview(room), ETAG, 5)
    assert bytes(room) == DATA[100:500]
    rest = f"bytes={100 + given}-499"
    assert transport.asked == ["bytes=100-499", rest, rest]


@pytest.mark.parametrize("then", BROKEN.values(), ids=list(BROKEN))
def test_bodies_that_keep_ending_early_are_storage_that_is_busy(then: AzureError | None) -> None:
    transport = Transport(*[cut(then, 7)] * 99)
    with pytest.raises(ServiceBusy, match=r"snapshots/a/b\.jsonl"):
        read_all(transport)
    assert len(transport.asked) <= 3 * 3  # of three blocks


def test_a_body_that_is_too_long_is_no_body() -> None:
    """Such as the whole blob, from a proxy that knows no ranges."""
    transport = Transport(*[lambda request, wanted: Answer(request, 200, (DATA, DATA))] * 99)
    with pytest.raises(ServiceBusy):
        read_all(transport)


def test_an_answer_of_another_version_is_not_taken_though_the_condition_was_passed_over() -> None:
    transport = Transport(whole, lambda request, wanted: Answer(request, 206, (wanted,), headers={"ETag": '"0x9E"'}))
    with pytest.raises(LedgerConflict):
        read_all(transport)
    assert len(transport.asked) == 3


def test_a_version_that_changes_between_a_cut_and_its_rest_is_noticed() -> None:
    transport = Transport(cut(BROKEN["reset"], 7), refused(412, "ConditionNotMet"))
    room = bytearray(400)
    with pytest.raises(AzureError) as raised:
        ranges.fill(storage_over(transport)._blob("snapshots", "a"), 0, memoryview(room), ETAG, 5)
    assert getattr(raised.value, "status_code", None) == 412
    assert len(transport.asked) == 2


REFUSALS: dict[str, tuple[Play, type[Exception], str]] = {
    "403": (refused(403, "AuthorizationPermissionMismatch"), AccessDenied, "HTTP 403 AuthorizationPermissionMismatch"),
    "404": (refused(404, "BlobNotFound"), NotFound, "snapshots/a/b.jsonl"),
    "412": (refused(412, "ConditionNotMet"), LedgerConflict, "ConditionNotMet"),
    "429": (refused(429, "TooManyRequests", {"Retry-After": "7"}), ServiceBusy, "HTTP 429 TooManyRequests"),
    "503": (refused(503, "ServerBusy", {"Retry-After": "7"}), ServiceBusy, "HTTP 503 ServerBusy"),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_a_refusal_is_named_as_for_any_other_call_and_tells_no_secret(kind: str) -> None:
    play, error, told = REFUSALS[kind]
    with pytest.raises(error, match=told) as raised:
        read_all(Transport(*[play] * 99))
    if error is ServiceBusy:
        assert getattr(raised.value, "retry_after", None) == 7
    shown = [str(link) for link in (raised.value, raised.value.__cause__) if link]
    assert not [text for text in shown if SIGNATURE in text or "sig=" in text]


def test_a_busy_moment_passes() -> None:
    transport = Transport(refused(503, "ServerBusy"), refused(500, "InternalError"))
    assert read_all(transport) == DATA
