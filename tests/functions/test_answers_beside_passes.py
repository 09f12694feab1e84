"""Questions and health are answered while every worker thread of the process is busy with the worst rows there are.

Nothing is timed: passes go on until the answers are there, so one that holds the interpreter never ends the test.
"""

from __future__ import annotations

import asyncio
import io
import json
import sys
import threading
from collections.abc import Callable, Iterator

import pytest
from starlette.requests import Request
from starlette.responses import Response

from functions.chat_requested import chat_completions
from functions.status_requested import health
from shared.releases.gate import measures
from shared.validation import Policy, Source, freeze
from tests.fakes import World
from tests.functions.test_chat_requested import CHAT, _live

LONGEST = Policy().max_line_bytes
THREADS = 4


class Enough(Exception):
    """The answers are there: the pass may end."""


def _row(asked: str, answered: str) -> bytes:
    turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}]
    return json.dumps({"messages": turns}).encode() + b"\n"


def _validates(data: bytes) -> Callable[[Callable[[], None]], object]:
    source = Source(path="data.jsonl", open=lambda: io.BytesIO(data), size=len(data))
    return lambda heartbeat: freeze([source], Policy(), heartbeat=heartbeat)


def _judges(heartbeat: Callable[[], None]) -> None:
    text = "word " * (LONGEST // 5)
    measures.likeness(text, text[::-1])
    heartbeat()


PASSES = {
    "a secret that is none, in the longest rows": _validates(_row("x", "eyJ-" * (LONGEST // 4 - 100))),
    "the longest dialogues": _validates(_row("a" * 9, "b") * 3 + _row("word " * (LONGEST // 5 - 100), "x")),
    "nothing but broken lines": _validates(b"{\n" * 500_000),
    "the gate's longest answers": _judges,
}


@pytest.fixture(params=PASSES)
def passes(request: pytest.FixtureRequest) -> Iterator[list[int]]:
    """Passes in all worker threads, one after the other, until the test is over; how many have begun."""
    over, begun = threading.Event(), list[int]()

    def beat() -> None:
        if over.is_set():
            raise Enough

    def work() -> None:
        while not over.is_set():
            begun.append(1)
            try:
                PASSES[request.param](beat)
            except Enough:
                return

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    yield begun
    over.set()
    for thread in threads:
        thread.join()


def test_health_and_a_call_are_answered_beside_passes(
    world: World, request_of: Callable[..., Request], passes: list[int]
) -> None:
    _live(world)
    for _ in range(3):
        assert health(request_of(method="GET")).status_code == 200
        answer: Response = asyncio.run(chat_completions(request_of(CHAT)))
        assert answer.status_code == 200
    assert len(passes) >= THREADS


def test_whoever_waits_for_the_interpreter_gets_it_soon() -> None:
    """With Python's own 5 ms a call that is handed on forty times waits for a fifth of a second beside one pass."""
    assert sys.getswitchinterval() == pytest.approx(0.001)
