"""Dialogues that `datasets` wrote, in every shape and format of it, come back as they were."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, disable_progress_bars  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st

from cli.prepare import Preparation, prepare
from tests.cli.test_prepare import written
from tests.shared.conversion.test_shapes import ROWS, Turns, dialogues

WRITERS: dict[str, Callable[[Any, Path], Any]] = {
    "rows.jsonl": lambda dataset, path: dataset.to_json(path),
    "rows.json": lambda dataset, path: dataset.to_json(path, lines=False, orient="records"),
    "rows.csv": lambda dataset, path: dataset.to_csv(path),
    "rows.parquet": lambda dataset, path: dataset.to_parquet(path),
    "saved": lambda dataset, path: dataset.save_to_disk(path),
}
SHAPES = ("messages", "sharegpt", "alpaca", "columns", "ChatML")


@pytest.mark.parametrize("name", WRITERS)
@settings(max_examples=4, deadline=None)
@given(found=st.lists(dialogues(), min_size=1, max_size=4), shape=st.sampled_from(SHAPES))
def test_what_datasets_writes_comes_back(name: str, found: list[Turns], shape: str) -> None:
    if shape == "columns" and name in ("rows.csv", "rows.json"):
        shape = "messages"  # pandas writes lists in objects as arrays of numpy, which nothing reads
    disable_progress_bars()
    with tempfile.TemporaryDirectory() as folder:
        WRITERS[name](Dataset.from_list([ROWS[shape](turns) for turns in found]), Path(folder, name))
        prepare(Preparation(str(Path(folder, name)), Path(folder, "out")))
        assert written(Path(folder, "out")) == found
