"""Once per deployment it is found out what its container speaks; it costs nothing, and never holds anything up."""

from __future__ import annotations

from typing import Any

import pytest

from shared.azure.inference import EndpointAnswer
from shared.errors import ServiceBusy
from shared.ledger.rows import Dataset
from shared.ledger.states import DatasetState as D
from shared.operations import actions, steps, sweep
from shared.releases.probe import MOST_PROBES
from tests.builders import DATASET, ENDPOINT, a_dataset, a_release
from tests.fakes import World, dialogues

KEY = f"dataset/{DATASET}"


def _live(world: World, **release: Any) -> None:
    """A dataset that went live with a version that did not probe."""
    world.workspace.endpoints.write(ENDPOINT, {}, {})
    world.services.ledger.create(a_dataset(live=a_release(api="", **release), poll_at=None))
    world.storage.messages.clear()


def _row(world: World) -> Dataset:
    row: Dataset = world.services.ledger.read(KEY).row
    return row


@pytest.mark.parametrize("speaks", ["openai", "score", "mlflow"])
def test_a_new_deployment_is_probed_before_the_gate_and_the_release_remembers(speaks: str) -> None:
    world = World()
    world.inference.speaks = speaks
    world.drop(f"{DATASET}.jsonl", dialogues(40))
    world.run()
    row = _row(world)
    assert row.live is not None
    assert (row.state, row.live.api, row.live.probes) == (D.LIVE, speaks, 0)
    assert len(world.inference.probed) == (1 if speaks == "openai" else 2)
    assert any("and speaks" in entry.reason for entry in row.history)


def test_a_release_that_is_made_again_after_a_sleep_is_not_probed_again() -> None:
    world = World()
    world.drop(f"{DATASET}.jsonl", dialogues(40))
    world.run()
    probed = [*world.inference.probed]
    actions.ask(world.services, DATASET, "sleep", "me")
    world.run()
    assert _row(world).state == D.ASLEEP
    actions.ask(world.services, DATASET, "wake", "me")
    world.run()
    assert (_row(world).state, world.inference.probed) == (D.LIVE, probed)


def test_a_live_release_of_an_older_version_is_probed_by_the_next_sweep() -> None:
    world = World()
    world.inference.speaks = "openai"
    _live(world)
    assert sweep.sweep(world.services) == [KEY]
    steps.step(world.services, KEY + "?")
    row = _row(world)
    assert row.live is not None
    assert (row.state, row.live.api) == (D.LIVE, "openai")
    steps.step(world.services, KEY)  # nothing more is to be done
    assert sweep.sweep(world.services) == []


@pytest.mark.parametrize("trouble", ["busy", "no key"])
def test_a_probe_that_tells_nothing_is_repeated_a_few_times_and_then_score_is_believed(trouble: str) -> None:
    world = World()
    _live(world)
    if trouble == "busy":
        world.inference.probes = lambda uri: EndpointAnswer(503, None)
    else:

        def no_key(name: str) -> str:
            raise ServiceBusy("HTTP 503")

        world.workspace.endpoints.key = no_key  # type: ignore[method-assign]
    sweep.sweep(world.services)
    for _ in range(MOST_PROBES):
        assert not _row(world).attention
        steps.step(world.services, KEY + "?")
    row = _row(world)
    assert row.live is not None
    assert (row.live.api, row.live.probes, row.fault) == ("score", 0, None)
    assert len(world.inference.probed) == (MOST_PROBES if trouble == "busy" else 0)


def test_a_probe_does_not_stand_in_the_way_of_what_is_asked_for() -> None:
    world = World()
    _live(world)
    world.inference.probes = lambda uri: EndpointAnswer(503, None)
    actions.ask(world.services, DATASET, "sleep", "me")
    world.run(until=1200)
    assert _row(world).state == D.ASLEEP


def test_a_container_that_tells_nothing_is_released_all_the_same() -> None:
    world = World()
    world.inference.probes = lambda uri: EndpointAnswer(0, None, detail="no answer within 20 s", lost="late")
    world.drop(f"{DATASET}.jsonl", dialogues(40))
    world.run()
    row = _row(world)
    assert row.live is not None
    assert (row.state, row.live.api) == (D.LIVE, "score")


def test_the_gate_asks_by_the_better_route() -> None:
    world = World()
    world.inference.speaks = "openai"
    uris = list[str]()
    ask = world.inference.ask

    async def watched(uri: str, *more: Any, **given: Any) -> EndpointAnswer:
        uris.append(uri.rsplit("/", 1)[-1])
        return await ask(uri, *more, **given)

    world.inference.ask = watched  # type: ignore[method-assign]
    world.drop(f"{DATASET}.jsonl", dialogues(40))
    world.run()
    assert set(uris) == {"completions"}
    assert _row(world).state == D.LIVE
