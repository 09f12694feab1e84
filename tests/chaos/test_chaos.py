"""Seeded histories keep every promise, and planted defects are found."""

from __future__ import annotations

import pytest

from tests.chaos.__main__ import BASE, told
from tests.chaos.defects import DEFECTS, TRIED
from tests.chaos.history import play
from tests.chaos.shrinking import shrunk

CHUNK = 250


@pytest.mark.parametrize("chunk", [0, *(pytest.param(n, marks=pytest.mark.long) for n in range(1, 8))])
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
