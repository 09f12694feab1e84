"""The quick stand-in for fine-tuning: the model remembers what was answered, and finds it again.

Every assistant turn of the training data becomes one entry: what had been said before, what the user said
last, what was answered. Hyperparameters are written down and otherwise without effect.
"""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

from local.azureml.training import curve
from local.azureml.training.job import StepError
from local.azureml.training.trainer import Dialogue, Log

logger = logging.getLogger("trainer")


class RetrievalTrainer:
    """A Trainer that takes milliseconds."""

    def train(self, dialogues: dict[str, list[Dialogue]], inputs: dict[str, Any], folder: Path, log: Log) -> None:
        """Write the entries and the code that answers from them, and log what a trainer would."""
        train = dialogues["train"]
        entries = [entry for dialogue in train for entry in entries_of(dialogue)]
        if not entries:
            raise StepError("Found no user turn that an assistant turn follows; there is nothing to learn.")
        for step, values in curve.logged(train, dialogues.get("validation", []), inputs):
            log(step, values)
        data = folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        (data / "entries.json").write_text(json.dumps(entries, ensure_ascii=False), "utf-8")
        shutil.copyfile(Path(__file__).with_name("retrieval_model.py"), folder / "model.py")
        logger.info("%d dialogues, %d answers learned, hyperparameters %s", len(train), len(entries), inputs)


def entries_of(dialogue: Dialogue) -> list[dict[str, str]]:
    """Context, user turn and answer for every assistant turn that follows a user turn."""
    entries = []
    for position in range(1, len(dialogue)):
        answer, asked = dialogue[position], dialogue[position - 1]
        if answer["role"] == "assistant" and asked["role"] == "user":
            said = [turn["content"] for turn in dialogue[: position - 1] if turn["role"] != "system"]
            entries.append({"context": "\n".join(said), "user": asked["content"], "answer": answer["content"]})
    return entries
