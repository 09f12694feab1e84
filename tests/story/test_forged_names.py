"""A name that a stranger chose, wherever one can be given: it opens nothing, writes nothing, forges no log."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from shared import naming
from shared.errors import NotFound
from shared.ledger.listed import blob_name
from shared.operations import actions, status, steps
from shared.snapshots import intake
from tests.fakes import World
from tests.shared.azure.test_names import ODD

PLACES: dict[str, Callable[[World, str], object]] = {
    "message": lambda world, odd: steps.step(world.services, odd),
    "snapshot's message": lambda world, odd: steps.step(world.services, f"snapshot/{odd}?"),
    "dataset's message": lambda world, odd: steps.step(world.services, f"dataset/{odd}"),
    "file's message": lambda world, odd: steps.step(world.services, f"snapshot/{odd}#1"),
    "number of a file": lambda world, odd: steps.step(world.services, f"snapshot/a-20260101000000-01234567#{odd}"),
    "snapshot": lambda world, odd: status.snapshot(world.services, odd),
    "dataset": lambda world, odd: status.dataset(world.services, odd),
    "retried snapshot": lambda world, odd: actions.retry(world.services, odd, "me"),
    "overridden snapshot": lambda world, odd: actions.override(world.services, odd, "me", []),
    "woken dataset": lambda world, odd: actions.ask(world.services, odd, "wake", "me"),
    "resumed dataset": lambda world, odd: actions.resume(world.services, odd, "me"),
    "upload": lambda world, odd: intake.receive(world.services, odd),
    "upload in a folder": lambda world, odd: intake.receive(world.services, f"support-bot/{odd}/_SUCCESS"),
    "run": lambda world, odd: (
        naming.snapshot_of_job(world.services.installation, f"dt-{odd}-1") and pytest.fail("ours")
    ),
}


@pytest.mark.parametrize("place", PLACES)
def test_an_odd_name_finds_nothing_writes_nothing_and_forges_no_line(
    place: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    world = World()
    before, told = dict(world.storage.blobs), list[str]()
    for odd in ODD:
        try:
            PLACES[place](world, odd)
        except NotFound as error:
            told.append(str(error))
    assert all(text.isprintable() and len(text) < 400 for text in told)
    written = {key for key in world.storage.blobs if key not in before}
    assert {name for _, name in written if not name.startswith("_")} == set(), "nothing but the app's own notes"
    for record in caplog.records:
        assert "\n" not in record.getMessage()
        assert "\r" not in record.getMessage()
        assert len(record.getMessage()) < 1000


@pytest.mark.parametrize("kind", ["snapshot", "dataset", "other"])
def test_an_odd_name_is_no_blob_of_the_ledger(kind: str) -> None:
    for odd in ODD:
        if kind == "dataset" and naming.DATASET.fullmatch(odd):
            continue
        with pytest.raises(NotFound):
            blob_name(f"{kind}/{odd}")
