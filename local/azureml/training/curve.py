"""What the stand-in for a trainer logs: the metrics of transformers' Trainer, at the steps at which that logs them.

The numbers are those of the simplest model that learns: how surprising the words of the answers are to somebody who
has counted the words of all answers before. They come of real data and fall as a loss does; the retrieval model has
nothing to do with them.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from local.azureml.training.trainer import Dialogue

# Words of which nobody has seen any, and how much each counts before it was seen.
_VOCABULARY, _UNSEEN = 5000, 0.1
# Enough to see a curve, in milliseconds whatever the size of the data.
_MOST_LOGS, _LOOKED_AT, _CHARACTERS = 60, 8, 2000


@dataclass
class WordCounts:
    """Counted words; `loss` is the mean surprise at words, in nats."""

    counts: Counter[str] = field(default_factory=Counter)
    total: int = 0

    def loss(self, dialogues: Sequence[Dialogue]) -> float:
        """How surprising the answers are: high before anything was learned."""
        words = [word for dialogue in dialogues for word in words_of(dialogue)]
        known = self.total + _UNSEEN * _VOCABULARY
        surprise = sum(-math.log((self.counts[word] + _UNSEEN) / known) for word in words)
        return surprise / max(1, len(words))

    def unknown(self, dialogues: Sequence[Dialogue]) -> float:
        """How much is new: the share of words never seen. Stands for the norm of the gradient."""
        words = [word for dialogue in dialogues for word in words_of(dialogue)]
        return sum(word not in self.counts for word in words) / max(1, len(words))

    def learn(self, dialogues: Sequence[Dialogue]) -> None:
        """Count the words of these answers."""
        for dialogue in dialogues:
            words = words_of(dialogue)
            self.counts.update(words)
            self.total += len(words)


def words_of(dialogue: Dialogue) -> list[str]:
    """The first words of what the assistant says."""
    return " ".join(turn["content"][:_CHARACTERS] for turn in dialogue if turn["role"] == "assistant").lower().split()


@dataclass(frozen=True)
class Plan:
    """How many steps there are, and at which of them something is logged."""

    per_epoch: int
    total: int
    every: int

    @classmethod
    def of(cls, rows: int, inputs: dict[str, Any]) -> Plan:
        """As the Trainer counts: a step is a batch on every GPU, so often as gradients are accumulated."""
        batch = math.prod(int(inputs.get(name) or 1) for name in _BATCH)
        per_epoch = max(1, math.ceil(rows / batch))
        most = int(inputs.get("max_steps") or -1)
        total = most if most > 0 else per_epoch * int(inputs.get("num_train_epochs") or 1)
        asked = per_epoch if inputs.get("logging_strategy") == "epoch" else int(inputs.get("logging_steps") or 10)
        return cls(per_epoch, total, max(asked, math.ceil(total / _MOST_LOGS)))

    def steps(self) -> list[int]:
        """Steps after which something is logged: every so many, and the last of each epoch."""
        ends = range(self.per_epoch, self.total + 1, self.per_epoch)[:_MOST_LOGS]
        return sorted({*range(self.every, self.total + 1, self.every), *ends, self.total})


_BATCH = (
    "per_device_train_batch_size",
    "number_of_gpu_to_use_finetuning",
    "num_nodes_finetune",
    "gradient_accumulation_steps",
)


def logged(
    train: list[Dialogue], validation: list[Dialogue], inputs: dict[str, Any]
) -> Iterator[tuple[int, dict[str, float]]]:
    """What is logged, as (step, values), while the caller takes one after the other."""
    plan, model, begun, losses = Plan.of(len(train), inputs), WordCounts(), time.monotonic(), list[float]()
    for step in plan.steps():
        seen = _rows_at(train, step, plan)
        losses.append(model.loss(seen))
        epoch = step / plan.per_epoch
        if step % plan.every == 0:
            rate = learning_rate(step, plan.total, inputs)
            yield step, {"loss": losses[-1], "grad_norm": model.unknown(seen), "learning_rate": rate, "epoch": epoch}
        model.learn(seen)
        if step % plan.per_epoch == 0 and validation:
            yield step, {"eval_loss": model.loss(validation[:_LOOKED_AT]), "epoch": epoch}
    seconds = max(0.001, time.monotonic() - begun)
    yield (
        plan.total,
        {
            "train_runtime": seconds,
            "train_samples_per_second": len(train) * plan.total / plan.per_epoch / seconds,
            "train_steps_per_second": plan.total / seconds,
            "train_loss": sum(losses) / len(losses),
            "epoch": plan.total / plan.per_epoch,
        },
    )


def _rows_at(train: list[Dialogue], step: int, plan: Plan) -> list[Dialogue]:
    """Some rows of those that are gone through up to a step."""
    place = (step % plan.per_epoch) * len(train) // plan.per_epoch
    return [train[(place + offset) % len(train)] for offset in range(min(_LOOKED_AT, len(train)))]


def learning_rate(step: int, total: int, inputs: dict[str, Any]) -> float:
    """The rate at a step: warmed up, then constant, or down to nothing in a line or a cosine."""
    highest, warm = float(inputs.get("learning_rate") or 2e-5), int(inputs.get("warmup_steps") or 0)
    kind = str(inputs.get("lr_scheduler_type") or "linear")
    if step < warm:
        return highest * step / warm
    if kind.startswith("constant"):
        return highest
    done = (step - warm) / max(1, total - warm)
    return highest * (0.5 * (1 + math.cos(math.pi * done)) if kind.startswith("cosine") else 1 - done)
