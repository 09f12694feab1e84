"""What the registry says of a base model: whether it can be fine-tuned for chat and served, and which others can.

Called by preflight and when a snapshot's model is resolved. Only reads, so it may be repeated. What the registry does
not say counts as fine: Azure refuses what it does not do.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from shared.ledger.rows import Blocker, Check

if TYPE_CHECKING:
    from shared.azure.workspace.registry import RegistryModel
    from shared.runtime import Services

TASK = "chat-completion"
MLFLOW = "mlflow_model"
FINETUNE, INFERENCE = "finetune_compute_allow_list", "inference_compute_allow_list"
# Models of the registry that could be fine-tuned for chat when this was written; asked for before one is named.
_ALTERNATIVES = ("Phi-4", "Phi-4-mini-instruct")
# What ends on a date: its key in the registry's `deprecation`, in any case also the name of a tag before 2026.
_RETIREMENT_DATES = (("finetuneRetirementDate", "fine-tuned"), ("inferenceRetirementDate", "served"))
# Billions of parameters, where the name does not tell them.
_PARAMETERS = {"phi-4": 14.7, "phi-4-mini-instruct": 3.8, "phi-3-mini": 3.8, "phi-3.5-mini": 3.8, "phi-3-medium": 14.0}
_IN_NAME = re.compile(r"(?:(\d+)x)?(\d+(?:\.\d+)?)b(?![a-z0-9])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class MinimumSize:
    """The least machine that the registry names for a use; 0: not known."""

    cores: int = 0
    gpus: int = 0
    memory_gb: int = 0
    disk_gb: int = 0


def blockers(services: Services, model: RegistryModel, mend: str) -> list[Blocker]:
    """Why the model cannot be used, with live ones that can, as one blocker; `mend` says where the model is chosen.

    A person may excuse what the registry says of it, but not that it is of a kind that the component does not take.
    """
    why = problems(model, services.clock())
    if not why:
        return []
    use = f"use a live one{alternatives(services, model.name)}: {mend}"
    check = Check.MODEL if model.kind == MLFLOW else None
    return [Blocker(text=f"base model {model.name}:{model.version} {' and '.join(why)}; {use}", check=check)]


def problems(model: RegistryModel, now: float) -> list[str]:
    """Why a model cannot be fine-tuned for chat and served: its kind, its tasks, its end. Empty: it can."""
    found = []
    if model.kind != MLFLOW:
        found.append(f"is a {model.kind} and no {MLFLOW} (the component would take it as pytorch_model_path)")
    tasks = _tasks(model)
    if tasks is not None and TASK not in tasks:
        found.append(f"cannot be fine-tuned on {TASK}, only on {', '.join(tasks) or 'nothing'}")
    for tag in (FINETUNE, INFERENCE):
        if model.tags.get(tag) and not isinstance(_literal(model.tags[tag]), list | tuple):
            found.append(f"has a tag {tag} that is not a Python list")
    return found + retirement(model, now)


def retirement(model: RegistryModel, now: float) -> list[str]:
    """Why a model can no longer be used: archived, or past a date. Fine-tuning and serving end apart."""
    found = ["is archived"] if model.archived else []
    for key, use in _RETIREMENT_DATES:
        date = _date(model, key)
        if date is not None and date.timestamp() <= now:
            found.append(f"cannot be {use} since {date:%Y-%m-%d}")
    return found


def alternatives(services: Services, but: str) -> str:
    """` such as <model> or <model>`: other models of the registry that can be used now; empty when none is found."""
    live = []
    for name in dict.fromkeys((services.settings.base_model, *_ALTERNATIVES)):
        if name.lower() != but.lower():
            model = services.workspace.registry.model(name, "")
            if model is not None and not problems(model, services.clock()):
                live.append(name)
    return f" such as {' or '.join(live)}" if live else ""


def allowed(model: RegistryModel, tag: str) -> list[str]:
    """The sizes in one of the model's allow lists; empty when the model has none, or one that cannot be read."""
    found = _literal(model.tags.get(tag, ""))
    return [str(size) for size in found] if isinstance(found, list | tuple) else []


def suited(model: RegistryModel, tag: str) -> list[str]:
    """The sizes that are allowed, or where there is no allow list, those that are recommended."""
    recommended = "finetune-recommended-sku" if tag == FINETUNE else "inference-recommended-sku"
    return allowed(model, tag) or [size for size in re.split(r"[,\s]+", model.properties.get(recommended, "")) if size]


def minimum_size(model: RegistryModel, tag: str) -> MinimumSize:
    """The least machine for fine-tuning or serving, by the registry's `cores|GPUs|memory|disk` (in GB)."""
    spec = model.properties.get("finetune-min-sku-spec" if tag == FINETUNE else "inference-min-sku-spec", "")
    numbers = [int(part) if part.strip().isdecimal() else 0 for part in spec.split("|")]
    return MinimumSize(*numbers[:4]) if len(numbers) > 1 else MinimumSize()


def gigabytes(name: str) -> float:
    """About how large the model's files are, two bytes a parameter; 0 where its name does not tell."""
    known = max((n for n in _PARAMETERS if name.lower().startswith(n)), key=len, default="")
    if known:
        return 2 * _PARAMETERS[known]
    found = _IN_NAME.search(name)
    return 2 * float(found[2]) * int(found[1] or 1) if found else 0.0


def _tasks(model: RegistryModel) -> list[str] | None:
    """What the model may be fine-tuned on; None where the registry does not say."""
    text = model.properties.get("finetuning-tasks")
    if text is None:
        return None
    return [task.strip().lower().replace("_", "-") for task in text.split(",") if task.strip()]


def _date(model: RegistryModel, key: str) -> datetime | None:
    """A date in `deprecation`, or in a tag of its own. One that cannot be read counts as missing."""
    block = _literal(model.tags.get("deprecation", ""))
    by_name = {name.lower(): value for name, value in model.tags.items()}
    text = block.get(key) if isinstance(block, dict) and key in block else by_name.get(key.lower())
    try:
        at = datetime.fromisoformat(text or "")
    except (TypeError, ValueError):
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _literal(text: str) -> object:
    """A Python literal; None for anything else. Nothing is ever run."""
    try:
        return ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None
