"""How rough a history is. Each leaves some kinds of trouble out: what never happens makes room for what else does."""

from __future__ import annotations

import random
from dataclasses import dataclass

from tests.chaos.azure import ends
from tests.chaos.dice import weights


@dataclass(frozen=True, slots=True)
class Profile:
    """Accumulated weights of fates, moves and endings, and how many moves there are."""

    fates: tuple[float, ...]
    moves: tuple[float, ...]
    ends: dict[str, tuple[float, ...]]
    length: int
    datasets: int
    # Whether something is live before the trouble begins.
    served: bool
    # Whether it was put to sleep before.
    asleep: bool
    max_runs: int
    max_runs_per_day: int
    # Whether a topic is told of what happens.
    told: bool


def profile(seed: int, moves: int) -> Profile:
    """The profile of a seed."""
    rng = random.Random(f"profile {seed}")

    def rate(*choices: float) -> float:
        return rng.choice(choices)

    interrupted, stalled = rate(0, 0.02, 0.1, 0.3), rate(0, 0, 0.005, 0.02)
    dies = rate(0, 0.005, 0.02)
    busy, odd = rate(0, 0.01, 0.05), rate(0, 0, 0.01)
    fates = (interrupted, stalled, dies, dies, busy, busy, odd)
    # Of generators of their own: each seed keeps the other trouble that it had before these were thought of.
    write = random.Random(f"write {seed}").choice((0, 0, 0.1, 0.5))
    tamper = random.Random(f"tamper {seed}").choice((0, 0, 0, 0.3))
    cancel = random.Random(f"cancel {seed}").choice((0, 0, 2))
    delete = random.Random(f"delete {seed}").choice((0, 0, 0.5))
    pause = random.Random(f"pause {seed}").choice((0, 0, 0, 1))
    aged = random.Random(f"aged {seed}").choice((0, 0, 0.3))
    told = seed % 4 == 2
    deaf = random.Random(f"deaf {seed}").choice((0, 0.5)) if told else 0
    imported = random.Random(f"import {seed}").choice((0, 0, 0, 1))
    own = (tamper, aged, cancel, deaf, delete, pause, imported)
    return Profile(
        fates=weights(1 - sum(fates), *fates),
        moves=weights(rate(4, 10), *(rate(0, 0.5, 1, 2) for _ in range(moves - 8)), *own),
        ends=ends(rate(0, 0.2, 0.5), rate(0, 0.2, 0.5), rate(0, 0.2, 0.5), rate(0, 0, 0.2), write),
        length=rng.choice((20, 40, 80, 120)),
        datasets=rng.choice((1, 1, 2)),
        served=(served := rng.random()) < 0.5,
        asleep=served < 0.2,
        max_runs=rng.choice((1, 4)),
        max_runs_per_day=rng.choice((2, 20, 20)),
        told=told,
    )
