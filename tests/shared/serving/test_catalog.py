"""Who answers to a name, and what a process remembers of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from shared.errors import NotFound, ServiceBusy
from shared.ledger.rows import Dataset
from shared.ledger.states import DatasetState as D
from shared.serving.catalog import ChatTarget, ModelCatalog, SingleFlightCache
from shared.serving.protocol import ApiError
from tests.builders import DATASET, NEWER, SNAPSHOT, a_dataset, a_release, a_trained_snapshot
from tests.fakes import World

OLDER = SNAPSHOT.replace("2026", "2025")


class Source:
    """What a memory reads from: a number that grows, or an error; `gate` holds reads until it is set."""

    def __init__(self) -> None:
        self.reads = 0
        self.error: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def read(self, name: str) -> str:
        self.reads += 1
        number = self.reads
        await self.gate.wait()
        if self.error:
            raise self.error
        return f"{name}{number}"


def _in_a_loop(act: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        await act()

    asyncio.run(run())


def test_a_value_is_read_once_while_it_is_fresh_and_again_when_it_is_not() -> None:
    async def act() -> None:
        source = Source()
        kept, stale = SingleFlightCache(source.read, 100, 100), SingleFlightCache(source.read, 0, 0)
        assert [await kept.get("a") for _ in range(3)] == ["a1"] * 3
        assert [await stale.get("a") for _ in range(3)] == ["a2", "a3", "a4"]

    _in_a_loop(act)


def test_many_who_ask_at_once_cause_one_read() -> None:
    async def act() -> None:
        source = Source()
        memory = SingleFlightCache(source.read, 100, 100)
        assert set(await asyncio.gather(*(memory.get("a") for _ in range(50)))) == {"a1"}

    _in_a_loop(act)


def test_while_it_is_read_again_others_get_the_value_before() -> None:
    async def act() -> None:
        source = Source()
        memory = SingleFlightCache(source.read, 0, 100)
        await memory.get("a")
        source.gate.clear()
        first = asyncio.create_task(memory.get("a"))
        await asyncio.sleep(0)
        assert await memory.get("a") == "a1"
        source.gate.set()
        assert await first == "a2"

    _in_a_loop(act)


def test_a_reader_who_leaves_does_not_take_the_value_from_the_others() -> None:
    async def act() -> None:
        source = Source()
        source.gate.clear()
        memory = SingleFlightCache(source.read, 100, 100)
        first, second = (asyncio.create_task(memory.get("a")) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        source.gate.set()
        assert await second == "a1"

    _in_a_loop(act)


def test_what_cannot_be_read_now_is_good_for_longer_but_not_what_is_gone() -> None:
    async def act() -> None:
        source = Source()
        memory, short = SingleFlightCache(source.read, 0, 100), SingleFlightCache(source.read, 0, 0)
        await memory.get("a")
        await short.get("a")
        source.error = ServiceBusy("no")
        assert await memory.get("a") == "a1"
        with pytest.raises(ServiceBusy):
            await short.get("a")
        source.error = NotFound("no")
        for _ in range(2):
            with pytest.raises(NotFound):
                await memory.get("a")

    _in_a_loop(act)


def test_a_value_is_forgotten_unless_it_is_another_by_now() -> None:
    async def act() -> None:
        source = Source()
        memory = SingleFlightCache(source.read, 100, 100)
        await memory.get("a")
        memory.forget("a", "an older one")
        assert await memory.get("a") == "a1"
        memory.forget("a", "a1")
        assert await memory.get("a") == "a2"
        memory.forget("a")
        memory.forget("nobody")
        assert await memory.get("a") == "a3"

    _in_a_loop(act)


def test_a_read_that_began_before_a_value_was_forgotten_is_not_remembered() -> None:
    async def act() -> None:
        source = Source()
        memory = SingleFlightCache(source.read, 0, 100)
        await memory.get("a")
        source.gate.clear()
        early = asyncio.create_task(memory.get("a"))
        await asyncio.sleep(0)
        memory.forget("a", "a1")
        late = asyncio.create_task(memory.get("a"))
        await asyncio.sleep(0)
        source.gate.set()
        assert (await early, await late) == ("a2", "a3")
        source.error = ServiceBusy("no")
        assert await memory.get("a") == "a3"

    _in_a_loop(act)


# --- names ----------------------------------------------------------------------------------------------------


def _found(row: Dataset, name: str) -> ChatTarget:
    world = World()
    world.services.ledger.create(row)
    return asyncio.run(ModelCatalog(world.services).find(name))


ROLLING = a_dataset(
    D.SHIFTING,
    candidate=a_release(NEWER),
    previous=a_release(OLDER),
    traffic={a_release().deployment: 90, a_release(NEWER).deployment: 10},
)


def test_a_name_means_whoever_has_the_traffic() -> None:
    target = _found(ROLLING, DATASET)
    assert (target.pinned, target.deployment, target.release.snapshot) == (None, "", SNAPSHOT)
    assert target.release_of(a_release(NEWER).deployment) == NEWER
    assert target.release_of("somebody-else") == SNAPSHOT


@pytest.mark.parametrize("snapshot", [SNAPSHOT, NEWER, OLDER])
def test_a_release_can_be_pinned_while_it_is_deployed(snapshot: str) -> None:
    target = _found(ROLLING, f"{DATASET}@{snapshot}")
    assert (target.release.snapshot, target.deployment) == (snapshot, a_release(snapshot).deployment)


@pytest.mark.parametrize(
    ("row", "snapshot"),
    [
        (a_dataset(), NEWER),
        (a_dataset(), ""),
        (a_dataset(previous=a_release(OLDER, deployment="")), OLDER),
        (ROLLING.but(traffic={a_release().deployment: 100}), NEWER),
    ],
    ids=["unknown", "empty", "removed", "a candidate that nobody may ask yet"],
)
def test_a_release_that_is_not_deployed_is_404_with_what_is(row: Dataset, snapshot: str) -> None:
    with pytest.raises(ApiError, match=f"ask {DATASET}@{SNAPSHOT}") as refused:
        _found(row, f"{DATASET}@{snapshot}")
    assert (refused.value.status, refused.value.param) == (404, "model")


@pytest.mark.parametrize(
    ("base_model", "told", "setting", "nature"),
    [
        ("Phi-4", 16_384, 0, (True, 16_384)),
        ("Phi-3-mini-4k-instruct", 4096, 0, (False, 4096)),
        ("Phi-4", 0, 0, (True, 0)),
        ("Phi-4", 16_384, 2048, (True, 2048)),
    ],
)
def test_a_releases_nature_is_that_of_its_base_model(
    base_model: str, told: int, setting: int, nature: tuple[bool, int]
) -> None:
    world = World(settings={"validation_context_tokens": setting})
    row = a_trained_snapshot(context_tokens=told)
    assert row.base_model is not None
    world.services.ledger.create(row.but(base_model=row.base_model.but(name=base_model)))
    found = asyncio.run(ModelCatalog(world.services).nature(a_release()))
    assert ("system" in found.roles, found.context) == nature


def test_a_release_whose_snapshot_is_gone_counts_as_one_of_an_ordinary_model() -> None:
    found = asyncio.run(ModelCatalog(World().services).nature(a_release()))
    assert ("system" in found.roles, found.context) == (True, 0)
