"""Questions: who answers them, what a caller is told when nobody does, and what is remembered meanwhile."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import pytest

from shared.azure.inference import EndpointAnswer
from shared.errors import AzureRefused, ServiceBusy
from shared.ledger.rows import Dataset, Origin
from shared.ledger.states import DatasetState as D
from shared.serving.cache import _Kept
from shared.serving.calls import AnswerPiece, ChatCall
from shared.serving.last_asked import OFTEN, SELDOM
from shared.serving.protocol import ApiError, TokenUsage
from shared.serving.service import ChatService
from shared.serving.turns import ChatTurn
from tests.builders import (
    DATASET,
    DEPLOYMENT,
    ENDPOINT,
    NEWER,
    SNAPSHOT,
    URI,
    a_dataset,
    a_release,
    a_request,
    a_trained_snapshot,
    an_answer,
)
from tests.fake_process import InlineExecutor
from tests.fakes import World

TURNS = [ChatTurn(role="user", content="Why?")]
KEY = f"key-of-{ENDPOINT}"


class Endpoint:
    """What stands behind the scoring address: answers in turn, the last one for ever; keeps what it was asked."""

    def __init__(self, *answers: EndpointAnswer) -> None:
        self.answers = list(answers) or [an_answer()]
        self.asked: list[dict[str, Any]] = []

    async def ask(self, uri: str, key: str, body: Any, timeout: float, **more: str) -> EndpointAnswer:
        self.asked.append({"uri": uri, "key": key, "body": body, "timeout": timeout, **more})
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class Office:
    """A chat service over one dataset's row, and the endpoint it asks."""

    def __init__(self, row: Dataset | None = None, *answers: EndpointAnswer, **settings: Any) -> None:
        self.world = World(settings=settings)
        self.endpoint = Endpoint(*answers)
        fake: Any = self.endpoint
        self.world.services.inference = fake
        self.service = ChatService(self.world.services, notes=InlineExecutor())
        self.world.workspace.endpoints.write(ENDPOINT, {}, {})
        if row is not None:
            self.world.services.ledger.create(row)
            self.world.storage.messages.clear()

    def ask(self, dataset: str = DATASET, **parameters: Any) -> AnswerPiece:
        return asyncio.run(self.service.answer(ChatCall(dataset, TURNS, parameters, request_id="request-1")))

    def refused(self, dataset: str = DATASET) -> ApiError:
        with pytest.raises(ApiError) as refused:
            self.ask(dataset)
        return refused.value

    @property
    def row(self) -> Dataset:
        row: Dataset = self.world.services.ledger.read(f"dataset/{DATASET}").row
        return row


def test_a_live_release_answers_and_is_named() -> None:
    office = Office(a_dataset(), an_answer(text=" because \n"))
    usage = TokenUsage(prompt_tokens=5, completion_tokens=1, total_tokens=6, estimated=True)
    assert office.ask(temperature=0.1) == AnswerPiece("because", DATASET, SNAPSHOT, DEPLOYMENT, None, True, usage)
    (asked,) = office.endpoint.asked
    assert (asked["uri"], asked["key"], asked["request_id"]) == (URI, KEY, "request-1")
    assert asked["timeout"] == office.world.services.settings.scoring_timeout_seconds
    assert asked["deployment"] == ""
    assert asked["body"]["input_data"]["input_string"] == [{"role": "user", "content": "Why?"}]
    assert asked["body"]["input_data"]["parameters"] == {
        "temperature": 0.1,
        "top_p": 0.9,
        "do_sample": True,
        "max_new_tokens": 200,
    }


@pytest.mark.parametrize("state", [D.DEPLOYING, D.EVALUATING, D.SHIFTING])
def test_the_live_release_goes_on_answering_while_the_next_one_is_rolled_out(state: D) -> None:
    office = Office(a_dataset(state, scoring_uri=URI, candidate=a_release(NEWER)))
    assert office.ask().release == SNAPSHOT


@pytest.mark.parametrize(
    ("answer", "status", "code", "told"),
    [
        (an_answer(0, detail="no answer within 90 s", lost="late"), 504, "timeout", "no answer within 90 s"),
        (an_answer(0, detail="could not be reached", lost="unsent"), 503, "unavailable", "nobody was asked"),
        (an_answer(0, detail="the connection was cut", lost="cut"), 502, "connection_lost", "was cut"),
        (an_answer(408), 504, "timeout", "took too long"),
        (an_answer(200, text=""), 502, "bad_answer", "an empty text"),
        (an_answer(200, text=" \n"), 502, "bad_answer", "an empty text"),
        (an_answer(200, text=None, detail="none of the known shapes: 5"), 502, "bad_answer", "known shapes"),
        (an_answer(424, detail="boom"), 502, "model_error", "boom"),
        (an_answer(429, retry_after="7000"), 429, "rate_limit", "busy"),
        (an_answer(404), 503, "unavailable", "not ready"),
        (an_answer(503), 503, "unavailable", "not ready"),
        (an_answer(401), 502, "endpoint_error", "HTTP 401"),
        (an_answer(403), 502, "endpoint_error", "HTTP 403"),
        (an_answer(400), 502, "endpoint_error", "HTTP 400"),
        (an_answer(500), 502, "endpoint_error", "HTTP 500"),
        (an_answer(502), 502, "endpoint_error", "HTTP 502"),
        (an_answer(504), 504, "timeout", "took too long"),
        (an_answer(413), 413, "too_large", "so large"),
    ],
)
def test_every_way_of_not_answering_has_its_status_code_and_words(
    answer: EndpointAnswer, status: int, code: str, told: str
) -> None:
    office = Office(a_dataset(), answer)
    refused = office.refused()
    assert (refused.status, refused.code) == (status, code)
    assert told in str(refused)
    assert DATASET in str(refused)
    assert KEY not in str(refused)
    again = answer.status in (401, 404) or answer.lost == "unsent"
    assert len(office.endpoint.asked) == 1 + again
    assert refused.asked == (status in (502, 504))


@pytest.mark.parametrize(
    ("header", "seconds"), [("7000", 7000), ("", 1), ("Wed, 21 Oct 2026 07:28:00 GMT", 1), ("-1", 1)]
)
def test_a_busy_endpoints_patience_is_passed_on(header: str, seconds: int) -> None:
    assert Office(a_dataset(), an_answer(429, retry_after=header)).refused().retry_after == seconds


def _counting_keys(office: Office, *keys: str) -> list[str]:
    """The keys the workspace hands out in turn; returns what was handed out."""
    given: list[str] = []

    def key(name: str) -> str:
        given.append(keys[min(len(given), len(keys) - 1)])
        return given[-1]

    office.world.workspace.endpoints.key = key  # type: ignore[method-assign]
    return given


def test_a_refused_key_is_read_again_once_and_the_new_one_kept() -> None:
    office = Office(a_dataset(), an_answer(401), an_answer())
    given = _counting_keys(office, "old", "new")
    assert office.ask().text == "an answer"
    office.ask()
    assert [asked["key"] for asked in office.endpoint.asked] == ["old", "new", "new"]
    assert given == ["old", "new"]


def test_a_key_that_stays_refused_is_not_asked_for_without_end() -> None:
    office = Office(a_dataset(), an_answer(401))
    given = _counting_keys(office, "old")
    assert office.refused().code == "endpoint_error"
    assert len(given) == len(office.endpoint.asked) == 2


def test_questions_that_come_at_once_do_not_throw_away_each_others_fresh_key() -> None:
    office = Office(a_dataset())
    given = _counting_keys(office, "old", "new")
    office.ask()

    async def turned_over(uri: str, key: str, body: Any, timeout: float, **more: str) -> EndpointAnswer:
        await asyncio.sleep(0)
        return an_answer(401) if key == "old" else an_answer()

    office.endpoint.ask = turned_over  # type: ignore[method-assign]

    async def many() -> list[AnswerPiece]:
        return list(await asyncio.gather(*(office.service.answer(ChatCall(DATASET, TURNS)) for _ in range(5))))

    assert {answer.text for answer in asyncio.run(many())} == {"an answer"}
    office.ask()
    assert set(given[1:]) == {"new"}


@pytest.mark.parametrize("error", [ServiceBusy(f"HTTP 503 {KEY}"), AzureRefused("HTTP 404")])
def test_a_key_that_cannot_be_had_is_503_and_says_nothing_of_why(error: Exception) -> None:
    office = Office(a_dataset())

    def key(name: str) -> str:
        raise error

    office.world.workspace.endpoints.key = key  # type: ignore[method-assign]
    refused = office.refused()
    assert (refused.status, refused.code, refused.retry_after) == (503, "unavailable", 10)
    assert "HTTP" not in str(refused)


def test_an_endpoint_that_somebody_deleted_is_503() -> None:
    office = Office(a_dataset())
    office.world.clock.now += 3600
    office.world.workspace.endpoints.delete(ENDPOINT)
    office.world.clock.now += 3600
    assert (office.refused().status, office.refused().code) == (503, "unavailable")


def test_a_key_that_does_not_come_in_time_is_504_and_nobody_was_asked() -> None:
    office = Office(a_dataset())
    office.service.services.settings = office.service.services.settings.model_copy(update={"call_seconds": 0.7})
    over = threading.Event()

    def key(name: str) -> str:
        over.wait(20)
        return KEY

    office.world.workspace.endpoints.key = key  # type: ignore[method-assign]

    async def run() -> ApiError:
        with pytest.raises(ApiError) as refused:
            await office.service.answer(ChatCall(DATASET, TURNS))
        over.set()
        return refused.value

    refused = asyncio.run(run())
    assert (refused.status, refused.code, refused.asked) == (504, "timeout", False)
    assert not office.endpoint.asked


def test_storage_that_is_busy_is_503() -> None:
    office = Office(a_dataset())

    def read(key: str) -> Any:
        raise ServiceBusy("storage is busy")

    office.world.services.ledger.read = read  # type: ignore[method-assign]
    assert office.refused().status == 503


# --- nobody there ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "near"),
    [
        ("suport-bot", "; did you mean support-bot or support-bot-2?"),
        ("zzzzzz", ""),
        ("../ledger", ""),
        ("Support-Bot", "; did you mean support-bot"),
    ],
)
def test_an_unknown_dataset_is_404_with_names_near_it(asked: str, near: str) -> None:
    office = Office(a_dataset())
    office.world.services.ledger.dataset("support-bot-2")
    refused = office.refused(asked)
    assert (refused.status, refused.code) == (404, "model_not_found")
    assert near in str(refused)
    assert ("did you mean" in str(refused)) == bool(near)


def test_an_endless_name_is_cut() -> None:
    assert len(str(Office().refused("x" * 100_000))) < 200


@pytest.mark.parametrize("state", [D.EMPTY, D.DEPLOYING])
def test_a_dataset_without_a_release_is_503_and_nothing_is_woken(state: D) -> None:
    office = Office(a_dataset(state, live=None))
    refused = office.refused()
    assert (refused.status, refused.code, refused.retry_after) == (503, "no_release", 60)
    assert office.row.requested is None


def test_a_question_wakes_a_sleeping_dataset() -> None:
    office = Office(a_dataset(D.ASLEEP))
    refused = office.refused()
    assert (refused.status, refused.code) == (503, "waking")
    assert refused.retry_after
    assert office.row.requested is not None
    assert (office.row.requested.what, office.row.requested.origin) == ("wake", "call")


def test_a_sleeping_dataset_is_woken_once_for_many_callers() -> None:
    office = Office(a_dataset(D.ASLEEP))
    others = ChatService(office.world.new_process())

    async def many() -> list[Any]:
        services = [office.service, others] * 10
        return await asyncio.gather(*(d.answer(ChatCall(DATASET, TURNS)) for d in services), return_exceptions=True)

    assert {getattr(refused, "code", refused) for refused in asyncio.run(many())} == {"waking"}
    assert [message for _, _, message in office.world.storage.messages] == [f"dataset/{DATASET}?"]


def test_a_question_wakes_nobody_where_that_is_switched_off() -> None:
    office = Office(a_dataset(D.ASLEEP), wake_on_request=False)
    refused = office.refused()
    assert (refused.status, refused.code) == (503, "asleep")
    assert "wake" in str(refused)
    assert office.row.requested is None
    assert not office.world.storage.messages


@pytest.mark.parametrize("state", [D.SLEEPING, D.WAKING])
def test_a_dataset_on_its_way_is_asked_for_patience(state: D) -> None:
    office = Office(a_dataset(state))
    assert office.refused().code == "waking"
    assert office.row.requested is None


def test_a_row_that_says_asleep_is_read_anew_at_the_next_question() -> None:
    office = Office(a_dataset(D.ASLEEP))
    office.refused()
    office.world.services.ledger.change(f"dataset/{DATASET}", lambda row: a_dataset(history=row.history))
    assert office.ask().release == SNAPSHOT


# --- what is noted --------------------------------------------------------------------------------------------


def _noted(office: Office, pause: float) -> list[float]:
    noted = []
    for _ in range(7):
        office.ask()
        noted.append(office.row.last_asked_at - 1_790_000_000)
        office.world.clock.now += pause / 3
    return noted


def test_when_it_was_last_asked_is_noted_at_most_once_an_hour() -> None:
    assert _noted(Office(a_dataset()), SELDOM) == [0, 0, 0, 3600, 3600, 3600, 7200]


def test_when_it_was_last_asked_is_noted_each_minute_while_it_may_be_put_to_sleep() -> None:
    office = Office(a_dataset(requested=a_request("sleep", origin=Origin.TIMER)))
    assert _noted(office, OFTEN) == [0, 0, 0, 60, 60, 60, 120]


def test_a_note_of_another_process_counts_too() -> None:
    office = Office(a_dataset(last_asked_at=1_790_000_000.0 - 10))
    before = office.world.services.ledger.read(f"dataset/{DATASET}").etag
    office.ask()
    assert office.world.services.ledger.read(f"dataset/{DATASET}").etag == before


def test_a_question_that_was_not_answered_still_counts_as_asked() -> None:
    office = Office(a_dataset(), an_answer(424))
    office.refused()
    assert office.row.last_asked_at == office.world.clock()


def test_an_answer_is_given_though_it_could_not_be_noted(caplog: pytest.LogCaptureFixture) -> None:
    office = Office(a_dataset())
    ledger = office.world.services.ledger
    change = ledger.change

    def busy(*_: Any) -> Any:
        raise ServiceBusy("storage is busy")

    ledger.change = busy  # type: ignore[method-assign, assignment]
    assert office.ask().text == "an answer"
    assert "not written" in caplog.text
    ledger.change = change  # type: ignore[method-assign]
    office.ask()
    assert office.row.last_asked_at


def test_rows_are_remembered_for_a_moment_only() -> None:
    office = Office(a_dataset())
    office.ask()
    reads: list[str] = []
    read = office.world.services.ledger.read

    def counted(key: str) -> Any:
        reads.append(key)
        return read(key)

    office.world.services.ledger.read = counted  # type: ignore[method-assign]
    office.ask()
    assert reads == []
    kept = office.service.catalog._rows._kept
    kept[DATASET] = _Kept(kept[DATASET].value, 0.0, kept[DATASET].usable_until)
    office.ask()
    assert reads == [f"dataset/{DATASET}"]


def test_keys_and_questions_are_never_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for status in (200, 401, 424, 500, 0):
        office = Office(a_dataset(), an_answer(status))
        if status == 200:
            office.ask()
        else:
            office.refused()
    assert KEY not in caplog.text
    assert "Why?" not in caplog.text


# --- what is counted ------------------------------------------------------------------------------------------


def _tally(office: Office, deployment: str) -> tuple[int, int, int]:
    office.world.services.counts.flush()
    found = office.world.services.counts.since(DATASET, deployment, 0)
    return found.asked, found.failed, found.refused


@pytest.mark.parametrize(
    ("answer", "tally"),
    [
        (an_answer(), (1, 0, 0)),
        (an_answer(429), (1, 0, 0)),
        (an_answer(400), (1, 0, 1)),
        (an_answer(424), (1, 1, 0)),
        (an_answer(text=""), (1, 1, 0)),
    ],
)
def test_every_call_is_counted_for_the_deployment_that_answered(
    answer: EndpointAnswer, tally: tuple[int, int, int]
) -> None:
    office = Office(a_dataset(), answer)
    if answer.good:
        office.ask()
    else:
        office.refused()
    assert _tally(office, DEPLOYMENT) == tally


def test_a_call_that_nobody_answered_counts_for_every_deployment_with_traffic() -> None:
    office = Office(a_dataset(traffic={DEPLOYMENT: 90, "r2": 10, "r3": 0}), EndpointAnswer(0, None))
    office.refused()
    assert [_tally(office, name) for name in (DEPLOYMENT, "r2", "r3")] == [(1, 1, 0), (1, 1, 0), (0, 0, 0)]


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_a_caller_who_leaves_before_anything_came_counts_against_the_release_that_was_asked(streamed: bool) -> None:
    candidate = a_release(NEWER)
    office = Office(a_dataset(candidate=candidate, traffic={DEPLOYMENT: 90, candidate.deployment: 10}))
    asked: list[str] = []

    async def run() -> None:
        reached = asyncio.Event()

        async def hangs(*args: Any, deployment: str = "", **more: Any) -> EndpointAnswer:
            asked.append(deployment)
            reached.set()
            await asyncio.Event().wait()
            raise AssertionError("nobody answers")

        inference: Any = office.endpoint
        inference.ask = inference.stream = hangs
        call = ChatCall(DATASET, TURNS, {})
        pieces = office.service.stream(call)
        waiting = asyncio.ensure_future(anext(pieces) if streamed else office.service.answer(call))
        await reached.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(run())
    office.world.services.counts.flush()
    stats = {name: office.world.services.counts.since(DATASET, name, 0) for name in (DEPLOYMENT, candidate.deployment)}
    assert {name: (found.asked, found.left) for name, found in stats.items()} == {
        name: (int(name == asked[0]), int(name == asked[0])) for name in stats
    }


# --- what is asked --------------------------------------------------------------------------------------------


def _asked(office: Office, *turns: tuple[str, str], **more: Any) -> list[dict[str, Any]]:
    """The turns that reached the endpoint."""
    question = ChatCall(DATASET, [ChatTurn.model_validate({"role": r, "content": c}) for r, c in turns], **more)
    asyncio.run(office.service.answer(question))
    sent: list[dict[str, Any]] = office.endpoint.asked[-1]["body"]["input_data"]["input_string"]
    return sent


def _told(office: Office, *turns: tuple[str, str], **more: Any) -> ApiError:
    with pytest.raises(ApiError) as refused:
        _asked(office, *turns, **more)
    assert not office.endpoint.asked
    return refused.value


SYSTEM = (("system", "Be brief."), ("user", "Why?"))


def test_system_turns_follow_the_policy_of_the_training_data() -> None:
    assert _asked(Office(a_dataset()), *SYSTEM)[0] == {"role": "system", "content": "Be brief."}
    folding = Office(a_dataset(), system_turns="fold")
    assert _asked(folding, *SYSTEM) == [{"role": "user", "content": "Be brief.\n\nWhy?"}]
    refused = _told(Office(a_dataset(), system_turns="reject"), *SYSTEM)
    assert (refused.status, refused.code, refused.param) == (400, "unsupported_role", "messages[0].role")


def test_a_system_turn_that_the_models_template_would_drop_is_refused() -> None:
    def phi(**settings: Any) -> Office:
        office = Office(a_dataset(), **settings)
        row = a_trained_snapshot()
        assert row.base_model is not None
        office.world.services.ledger.create(row.but(base_model=row.base_model.but(name="Phi-3-mini-4k-instruct")))
        return office

    assert "drops system turns" in str(_told(phi(system_turns="allow"), *SYSTEM))
    for folding in ("fold", "auto"):
        assert _asked(phi(system_turns=folding), *SYSTEM)[0]["role"] == "user"
    assert _asked(phi(), ("user", "Why?"))


@pytest.mark.parametrize(
    ("settings", "turns", "code", "param"),
    [
        ({}, [("user", "a"), ("assistant", "b")] * 501, "too_many_messages", "messages"),
        ({}, [("user", "a"), ("user", "x" * 200_001)], "message_too_long", "messages[1].content"),
    ],
)
def test_a_question_beyond_a_limit_is_422_that_says_which(
    settings: dict[str, Any], turns: list[tuple[str, str]], code: str, param: str
) -> None:
    refused = _told(Office(a_dataset(), **settings), *turns)
    assert (refused.status, refused.code, refused.param) == (422, code, param)


def test_an_answer_gets_the_room_that_the_question_leaves() -> None:
    office = Office(a_dataset(), validation_context_tokens=100)
    _asked(office, ("user", "x" * 200))
    assert office.endpoint.asked[-1]["body"]["input_data"]["parameters"]["max_new_tokens"] == 100 - 54
    _asked(office, ("user", "x" * 200), parameters={"max_new_tokens": 46})
    refused = _refusal(office, ("user", "x" * 200), parameters={"max_new_tokens": 47})
    assert (refused.status, refused.code, refused.param) == (400, "context_length_exceeded", "messages")
    assert "maximum context length is 100 tokens" in str(refused)


def _refusal(office: Office, *turns: tuple[str, str], **more: Any) -> ApiError:
    with pytest.raises(ApiError) as refused:
        _asked(office, *turns, **more)
    return refused.value


def test_more_questions_at_once_than_allowed_are_told_to_come_back() -> None:
    office = Office(a_dataset(), calls_at_once=2)

    async def run() -> list[Any]:
        held = asyncio.Event()

        async def hold(*_: Any, **__: Any) -> EndpointAnswer:
            await held.wait()
            return an_answer()

        office.endpoint.ask = hold  # type: ignore[method-assign]
        asking = [asyncio.create_task(office.service.answer(ChatCall(DATASET, TURNS))) for _ in range(3)]
        done, _ = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
        held.set()
        found = await asyncio.gather(*asking, return_exceptions=True)
        assert len(done) == 1
        return [*found, await office.service.answer(ChatCall(DATASET, TURNS))]

    refused, *answered = sorted(asyncio.run(run()), key=lambda found: isinstance(found, AnswerPiece))
    assert (refused.status, refused.code, refused.retry_after) == (429, "too_many_calls", 1)
    assert len(answered) == 3


def test_a_pinned_release_is_asked_by_name_and_counted_though_it_says_nothing() -> None:
    office = Office(a_dataset(previous=a_release(NEWER)), EndpointAnswer(424, None))
    with pytest.raises(ApiError):
        asyncio.run(office.service.answer(ChatCall(f"{DATASET}@{NEWER}", TURNS)))
    pinned = a_release(NEWER).deployment
    assert office.endpoint.asked[0]["deployment"] == pinned
    assert [_tally(office, name) for name in (pinned, DEPLOYMENT)] == [(1, 1, 0), (0, 0, 0)]


# --- asking once more -----------------------------------------------------------------------------------------


def test_a_question_that_reached_nobody_is_asked_once_more() -> None:
    office = Office(a_dataset(), an_answer(0, lost="unsent"), an_answer())
    assert office.ask().text == "an answer"
    assert len(office.endpoint.asked) == 2


@pytest.mark.parametrize("lost", ["cut", "late"])
def test_a_question_that_may_have_been_answered_is_not(lost: Any) -> None:
    office = Office(a_dataset(), an_answer(0, lost=lost), an_answer())
    assert office.refused().asked
    assert len(office.endpoint.asked) == 1


def test_an_endpoint_that_moved_is_found_again() -> None:
    office = Office(a_dataset(), an_answer(404), an_answer())
    asyncio.run(office.service.catalog.find(DATASET))
    office.world.services.ledger.change(f"dataset/{DATASET}", lambda row: row.but(scoring_uri="https://new/score"))
    assert office.ask().text == "an answer"
    assert [asked["uri"] for asked in office.endpoint.asked] == [URI, "https://new/score"]


def test_an_endpoint_that_was_put_to_sleep_meanwhile_is_woken() -> None:
    office = Office(a_dataset(), an_answer(404))
    asyncio.run(office.service.catalog.find(DATASET))
    office.world.services.ledger.change(f"dataset/{DATASET}", lambda row: a_dataset(D.ASLEEP, history=row.history))
    assert office.refused().code == "waking"
    assert office.row.requested is not None


# --- asleep ---------------------------------------------------------------------------------------------------


def test_after_a_wake_that_failed_the_caller_is_told_when_questions_wake_again() -> None:
    office = Office(a_dataset(D.ASLEEP, wake_not_before=1_790_000_000.0 + 240))
    refused = office.refused()
    assert (refused.status, refused.code, refused.retry_after) == (503, "wake_paused", 240)
    assert office.row.requested is None


def test_a_caller_who_would_rather_wait_gets_the_answer_once_it_is_awake() -> None:
    office = Office(a_dataset(D.ASLEEP))

    async def run() -> AnswerPiece:
        asking = asyncio.create_task(office.service.answer(ChatCall(DATASET, TURNS, wait=30)))
        while office.row.requested is None:
            await asyncio.sleep(0.01)
        office.world.services.ledger.change(f"dataset/{DATASET}", lambda row: a_dataset(history=row.history))
        return await asking

    assert asyncio.run(run()).text == "an answer"


@pytest.mark.parametrize(("wait", "most"), [(0.5, 120), (30, 0), (0, 120)])
def test_nobody_waits_for_longer_than_wanted_and_allowed(wait: float, most: float) -> None:
    office = Office(a_dataset(D.ASLEEP), wake_wait_seconds=most)
    with pytest.raises(ApiError) as refused:
        asyncio.run(office.service.answer(ChatCall(DATASET, TURNS, wait=wait)))
    assert refused.value.code == "waking"


def test_waiting_does_not_help_where_nothing_will_wake_it() -> None:
    office = Office(a_dataset(D.ASLEEP), wake_on_request=False)
    with pytest.raises(ApiError) as refused:
        asyncio.run(office.service.answer(ChatCall(DATASET, TURNS, wait=30)))
    assert refused.value.code == "asleep"
