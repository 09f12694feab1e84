"""Wraps what a trainer left as an MLflow pyfunc folder: models from code, requirements given, so nothing is
resolved.

Importing MLflow takes seconds; only this module and the serving process do.
"""

from __future__ import annotations

import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow.pyfunc
from mlflow.models import Model


def save_as_mlflow(trained: Path, folder: Path) -> dict[str, Any]:
    """Write the folder, replacing one that an interrupted run left; returns its flavors."""
    if folder.exists():
        shutil.rmtree(folder)
    mlflow.pyfunc.save_model(
        path=folder,
        python_model=str(trained / "model.py"),
        artifacts={"data": str(trained / "data")},
        pip_requirements=[f"{name}=={version(name)}" for name in ("mlflow-skinny", "numpy", "rapidfuzz")],
    )
    return {name: {"data": dict(data)} for name, data in Model.load(folder).flavors.items()}
