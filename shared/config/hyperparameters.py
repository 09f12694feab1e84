"""The training parameters a person may set, typed and with the ranges of the registry component.

Names, types and ranges are those of `chat_completion_pipeline` 0.0.82 (registry `azureml`). Precedence: the defaults
here < the base model's tag `model_specific_defaults` < the setting `HYPERPARAMETERS` < the snapshot's own
`snapshot.json`. Whatever the source, an unknown name or a value out of range is refused before any money is spent.
"""

from __future__ import annotations

import ast
import contextlib
import difflib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from shared.chatdata.formats import printable
from shared.errors import BadSnapshot


def _flag(value: object) -> object:
    """The component wants flags as text; people write booleans."""
    return str(value).lower() if isinstance(value, bool | str) else value


def _text(value: object) -> object:
    """The component wants some small numbers as text, e.g. precision "16"."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


MOST_WHOLE_NUMBER = 2**31 - 1
Flag = Annotated[Literal["true", "false"], BeforeValidator(_flag)]


class Hyperparameters(BaseModel):
    """What is handed to the component, field by field under its own input names."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    apply_lora: Flag = Field("true", description="Train a small addition to the model (LoRA) instead of all of it.")
    merge_lora_weights: Flag = Field(
        "true", description="Put what LoRA learned into the model's own weights at the end."
    )
    lora_alpha: int = Field(128, ge=1, description="How strongly what LoRA learned counts.")
    lora_r: int = Field(8, ge=1, description="Size of LoRA's addition; larger ones learn more and need more memory.")
    lora_dropout: float = Field(0.0, ge=0, lt=1, description="Share of LoRA's inputs that is left out at random.")
    num_train_epochs: int = Field(1, ge=1, description="How many times all rows are gone through.")
    max_steps: int = Field(-1, ge=-1, description="Steps to train, whatever the epochs; -1: go by the epochs.")
    per_device_train_batch_size: int = Field(1, ge=1, description="Rows at a time on each GPU, in training.")
    per_device_eval_batch_size: int = Field(1, ge=1, description="Rows at a time on each GPU, in evaluation.")
    auto_find_batch_size: Flag = Field("false", description="Halve the batch until it fits into memory.")
    optim: Literal["adamw_torch", "adafactor"] = Field(
        "adamw_torch", description="The optimizer; adafactor needs less memory."
    )
    learning_rate: float = Field(2e-5, gt=0, le=1, description="How far each step goes, at most.")
    warmup_steps: int = Field(0, ge=0, description="Steps until the learning rate is at its full height.")
    weight_decay: float = Field(0.0, ge=0, description="How strongly large weights are drawn back.")
    gradient_accumulation_steps: int = Field(1, ge=1, description="Batches that are added up for one step.")
    lr_scheduler_type: Literal[
        "linear", "cosine", "cosine_with_restarts", "polynomial", "constant", "constant_with_warmup"
    ] = Field("cosine", description="How the learning rate falls.")
    precision: Annotated[Literal["16", "32"], BeforeValidator(_text)] = Field(
        "16", description="Bits of the numbers that are trained with."
    )
    seed: int = Field(42, description="Of everything that is drawn at random.")
    max_seq_length: int = Field(
        -1, ge=-1, description="Tokens of a row that are learned from; -1: as many as the model takes."
    )
    pad_to_max_length: Flag = Field("false", description="Fill each row up to that length.")
    max_grad_norm: float = Field(1.0, gt=0, description="Longer gradients are cut to this length.")
    evaluation_strategy: Literal["epoch", "steps", "disable"] = Field(
        "epoch", description="When the validation rows are looked at."
    )
    eval_steps: int = Field(500, ge=1, description="Steps between two evaluations, where they go by steps.")
    logging_strategy: Literal["epoch", "steps"] = Field("steps", description="When loss and learning rate are logged.")
    logging_steps: int = Field(10, ge=1, description="Steps between two logs, where they go by steps.")
    save_total_limit: int = Field(1, ge=-1, description="Checkpoints that are kept; -1: all.")
    apply_early_stopping: Flag = Field("false", description="End when evaluations get no better.")
    early_stopping_patience: int = Field(1, ge=1, description="So many evaluations without gain are waited for.")
    apply_deepspeed: Flag = Field("true", description="Share the work and the memory between GPUs by DeepSpeed.")
    deepspeed_stage: Annotated[Literal["2", "3"], BeforeValidator(_text)] = Field(
        "2", description="How much DeepSpeed shares; 3 also the weights."
    )
    apply_ort: Flag = Field("false", description="Train with ONNX Runtime.")
    ignore_mismatched_sizes: Flag = Field(
        "false", description="Take a model whose weights have other sizes than expected."
    )
    enable_full_determinism: Flag = Field(
        "false", description="The same rows and seed give the same model, more slowly."
    )

    @field_validator("*", mode="before")
    @classmethod
    def _no_flag_for_a_number(cls, value: object, info: ValidationInfo) -> object:
        """`true` would become 1: a learning rate of 1 is not what anybody means."""
        if isinstance(value, bool) and cls.model_fields[info.field_name or ""].annotation in (int, float):
            raise ValueError("Input should be a number")
        return value

    @field_validator("*")
    @classmethod
    def _no_number_that_nothing_can_hold(cls, value: object) -> object:
        """The component's whole numbers have 32 bits, and a row of the ledger 64; also when they come as text."""
        if isinstance(value, int) and abs(value) > MOST_WHOLE_NUMBER:
            raise ValueError(f"Input should be at most {MOST_WHOLE_NUMBER}")
        return value

    def inputs(self) -> dict[str, str | int | float]:
        """The component's inputs, by name."""
        return self.model_dump()


def merged(*layers: tuple[str, Mapping[str, Any]]) -> Hyperparameters:
    """One set of hyperparameters out of layers `(where they come from, values)`, later ones winning.

    Raises BadSnapshot naming the layer, the key, the value found and what is allowed.
    """
    values: dict[str, Any] = {}
    for source, layer in layers:
        for key in layer:
            if key not in Hyperparameters.model_fields:
                raise BadSnapshot(f"{source}: unknown hyperparameter '{printable(key)}'{_nearest(key)}")
        _checked(source, {**values, **layer})
        values.update(layer)
    return Hyperparameters(**values)


# Each alone is allowed; together the component refuses them, but only on the GPU machine, after the model was loaded.
_NEVER_TOGETHER = (
    ({"apply_deepspeed": "true", "auto_find_batch_size": "true"}, "DeepSpeed needs a batch size that is fixed"),
    (
        {"apply_deepspeed": "true", "deepspeed_stage": "3", "apply_ort": "true"},
        "DeepSpeed's stage 3 does not go with ORT",
    ),
    (
        {"apply_early_stopping": "true", "evaluation_strategy": "disable"},
        "early stopping needs an evaluation to stop by",
    ),
)


def check_together(values: Hyperparameters) -> None:
    """Raises BadSnapshot for values that the component refuses together, once a GPU is paid for."""
    given = values.inputs()
    for combination, why in _NEVER_TOGETHER:
        if all(given[name] == value for name, value in combination.items()):
            names = " with ".join(f"{name} = {value}" for name, value in combination.items())
            raise BadSnapshot(f"hyperparameters: {names}: {why}; change one of them")


# Hyperparameters that can have a limit; -1 of these two is no bound at all, and so above any limit.
NUMBERS = tuple(name for name, field in Hyperparameters.model_fields.items() if field.annotation in (int, float))
_ENDLESS = ("max_seq_length", "save_total_limit")


def check_limits(source: str, values: Mapping[str, Any], limits: Mapping[str, float]) -> None:
    """Raises BadSnapshot for all that is asked for beyond the operator's limits: name, found, allowed.

    `max_steps` trains on whatever `num_train_epochs` says, so a limit on epochs alone rules it out.
    """
    bounds = {**({"max_steps": -1.0} if "num_train_epochs" in limits else {}), **limits}
    asked, found = Hyperparameters(**values), []
    for name in values:
        number = getattr(asked, name)
        if name in bounds and (number > bounds[name] or (number == -1 and name in _ENDLESS)):
            endless = ", without a bound" if number == -1 else ""
            most = f"at most {bounds[name]:g}" if name in limits else "only -1, to go by num_train_epochs"
            found.append(f"{name} = {number:g}{endless} (allowed: {most})")
    if found:
        raise BadSnapshot(f"{source}: {', '.join(found)}; the limits are those of HYPERPARAMETER_LIMITS")


def from_tag(text: str | None) -> tuple[dict[str, Any], list[str]]:
    """The base model's tag `model_specific_defaults` (JSON as text, a Python dict before 2026), and names left out.

    Left out is what is no hyperparameter here, such as `learning_rate_max`, which the component does not have. What is
    `null` has no value. Raises BadSnapshot when the tag is neither.
    """
    if not text:
        return {}, []
    found = _read(text)
    if not isinstance(found, dict):
        raise BadSnapshot("the base model's tag model_specific_defaults is neither a JSON object nor a Python dict")
    known = {k: v for k, v in found.items() if k in Hyperparameters.model_fields and v is not None}
    return known, sorted(str(k) for k in found if k not in Hyperparameters.model_fields)


def _read(text: str) -> Any:
    """JSON first: only it has `true`, `false` and `null`. Nothing is ever run. None for what is neither."""
    with contextlib.suppress(ValueError, RecursionError):
        return json.loads(text)
    with contextlib.suppress(ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return ast.literal_eval(text)
    return None


def display_name(base_model: str, values: Hyperparameters, gpus: int, nodes: int) -> str:
    """The job's display name, made of what shapes the training most (as the notebook names its jobs).

    The total batch size is per-device batch x accumulation x GPUs x nodes.
    """
    batch = values.per_device_train_batch_size * values.gradient_accumulation_steps * gpus * nodes
    parts = [
        base_model.replace("/", "-"),
        f"bs-{batch}",
        values.lr_scheduler_type,
        f"ds-{values.deepspeed_stage}" if values.apply_deepspeed == "true" else "nods",
        "lora" if values.apply_lora == "true" else "nolora",
        f"save-limit-{values.save_total_limit}",
        f"seqlen-{values.max_seq_length}",
    ]
    return "-".join(parts)


def _checked(source: str, values: Mapping[str, Any]) -> None:
    """Raises BadSnapshot for the first value that does not fit, naming the layer that brought it."""
    try:
        Hyperparameters(**values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(map(str, first["loc"]))
        raise BadSnapshot(
            f"{source}: {name} = {first['input']!r:.100}: {first['msg'].removeprefix('Value error, ')}"
        ) from error


def _nearest(key: str) -> str:
    """A hint at the known name that was probably meant."""
    near = difflib.get_close_matches(key[:40], Hyperparameters.model_fields, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""
