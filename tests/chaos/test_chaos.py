"""Seeded histories keep every promise, and planted defects are found.

`make test` plays the first 300 histories, `make test-fast` the first 100, `make nightly` 2,000.
"""

from __future__ import annotations

import pytest

from tests.chaos.__main__ import BASE, SEEDS, told
from tests.chaos.defects import DEFECTS, TRIED
from tests.chaos.history import play
from tests.chaos.shrinking import shrunk

# So many histories are one test: a few seconds on an idle machine, far from the time limit on a busy one.
CHUNK = 100
CHUNKS = [
    0,
    *(pytest.param(chunk, marks=pytest.mark.long) for chunk in range(1, 3)),
    *(pytest.param(chunk, marks=pytest.mark.nightly) for chunk in range(3, SEEDS // CHUNK)),
]


@pytest.mark.parametrize("chunk", CHUNKS)
def test_every_history_keeps_its_promises(chunk: int) -> None:
    for seed in range(BASE + chunk * CHUNK, BASE + (chunk + 1) * CHUNK):
        verdict = play(seed)
        assert not verdict.broken, told(shrunk(verdict))


def test_a_seed_replays_its_history() -> None:
    first, second = play(BASE + 7), play(BASE + 7)
    assert [str(line) for line in first.lines] == [str(line) for line in second.lines]


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_planted_defect_is_found(defect: str) -> None:
    verdict = DEFECTS[defect].found()
    assert verdict, f"{TRIED} histories did not see it"
    sound = play(verdict.seed)
    assert not sound.broken, told(sound)
