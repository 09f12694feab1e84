"""A training as one line: the step, the loss with a small picture of its curve, and how long it still takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cli.failures import CommandFailed, Exit
from cli.printing import duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cli.client import AppClient

_BARS = "▁▂▃▄▅▆▇█"


def progress(client: AppClient, row: dict[str, Any]) -> dict[str, Any] | None:
    """How far the training of a snapshot is; None while it has no job, or where the app is too old to say."""
    if not row["job"]:
        return None
    try:
        found: dict[str, Any] = client.get(f"snapshots/{row['id']}/training")
    except CommandFailed as failure:
        if failure.status != Exit.NOT_FOUND:
            raise
        return None
    return found


def line(found: dict[str, Any]) -> str:
    """What is known of it, on one line."""
    parts = [*_place(found), *_loss(found)]
    if (rate := found["latest"].get("learning_rate")) is not None:
        parts.append(f"learning rate {rate:.3g}")
    if (tokens := found["tokens_per_second"]) is not None:
        parts.append(f"about {tokens:,.0f} tokens/s")
    if left := found["seconds_left"]:
        parts.append(f"about {duration(left)} left")
    elif found["job_status"] in ("Running", "Finalizing") and found["share"] != 1:
        parts.append("time left not known")
    return ", ".join(parts) or str(found["why"] or "nothing is known of it")


def _place(found: dict[str, Any]) -> list[str]:
    step, steps, share = found["step"], found["steps"], found["share"]
    done = f" ({share:.0%})" if share is not None else ""
    if step:
        return [f"step {step}{f' of {steps}' if steps else ''}{done}"]
    return [f"epoch {found['epoch']:.2f} of {found['epochs']:g}{done}"] if found["epoch"] is not None else []


def _loss(found: dict[str, Any]) -> list[str]:
    latest = found["latest"]
    loss = latest.get("loss", latest.get("train_loss"))
    if loss is None:
        return []
    picture = sparkline(found["losses"])
    held_out = f", {latest['eval_loss']:.4g} on held-out rows" if "eval_loss" in latest else ""
    return [f"loss {loss:.4g}{f' {picture}' if picture else ''}{held_out}"]


def sparkline(values: Sequence[float]) -> str:
    """A small picture of a curve, one character a value; nothing of fewer than two."""
    if len(values) < 2:
        return ""
    low, high = min(values), max(values)
    scale = (len(_BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BARS[round((value - low) * scale)] for value in values)
