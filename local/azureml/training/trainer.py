"""The seam for real training: anything that turns dialogues into a folder the converter can wrap."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

Dialogue = list[dict[str, str]]
# What is logged while it trains: the step, and values by the names that transformers' Trainer gives them.
Log = Callable[[int, dict[str, float]], None]


class Trainer(Protocol):
    """Learns from dialogues, by split.

    A LoRA trainer would take the same arguments, write its weights into the folder and bring its own
    `model.py`.
    """

    def train(self, dialogues: dict[str, list[Dialogue]], inputs: dict[str, Any], folder: Path, log: Log) -> None:
        """Leave `model.py` (an MLflow model from code) and the `data` folder it reads in `folder`."""
        ...
