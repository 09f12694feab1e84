"""When a dataset was last asked: kept now and then, and never on the way of an answer."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from shared.serving.calls import ChatCall
from shared.serving.service import ChatService
from shared.serving.turns import ChatTurn
from tests.builders import DATASET, ENDPOINT, a_dataset, an_answer
from tests.fakes import World


def test_an_answer_does_not_wait_for_the_write_however_slow_storage_is() -> None:
    world = World()
    world.services.ledger.create(a_dataset())
    world.workspace.endpoints.write(ENDPOINT, {}, {})
    change, let_go = world.services.ledger.change, threading.Event()

    def slow(*given: Any) -> Any:
        let_go.wait(20)
        return change(*given)

    world.services.ledger.change = slow  # type: ignore[method-assign, assignment]

    class Endpoint:
        async def ask(self, *_: Any, **__: Any) -> Any:
            return an_answer()

    endpoint: Any = Endpoint()
    world.services.inference = endpoint
    service = ChatService(world.services)

    async def run() -> list[str]:
        call = ChatCall(DATASET, [ChatTurn(role="user", content="Why?")])
        return [(await service.answer(call)).text for _ in range(3)]

    assert asyncio.run(run()) == ["an answer"] * 3
    assert world.services.ledger.read(f"dataset/{DATASET}").row.last_asked_at == 0
    let_go.set()
    service.close()
    assert world.services.ledger.read(f"dataset/{DATASET}").row.last_asked_at == world.clock()
