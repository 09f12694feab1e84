"""The seam for real training: anything that turns dialogues into a folder the converter can wrap."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

Dialogue = list[dict[str, str]]


class Trainer(Protocol):
    """Learns from dialogues.

    A LoRA trainer would take the same arguments, write its weights into the folder and bring its own
    `model.py`.
    """

    def train(self, dialogues: list[Dialogue], inputs: dict[str, Any], folder: Path) -> None:
        """Leave `model.py` (an MLflow model from code) and the `data` folder it reads in `folder`."""
        ...
