"""The five steps of the chat completion pipeline, in the order in which the runner asks for them.

Each reads what the one before it left in the job's folder and may be run again.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from local.azureml.training.job import SPLITS, StepError, TrainingJob
from local.azureml.training.rows import Row, read_rows

log = logging.getLogger("step")

# Names from the component: they are what people see in the studio and in error messages.
VALIDATION = "ft_nlp_common_validation"
MODEL_IMPORT = "chat_completion_model_import"
PREPROCESS = "chat_completion_datapreprocess"
FINETUNE = "chat_completion_finetune"
CONVERTER = "ft_nlp_model_converter"


def validate(job: TrainingJob) -> None:
    """Fetch the data; the column `messages` must be there and hold conversations."""
    from local.azureml.training.datastore import Datastore

    for split in SPLITS:
        if job.inputs.get(f"{split}_mltable_path"):
            raise StepError(f"{split}_mltable_path: MLTable data is not imitated locally; pass a file.")
    if not job.inputs.get("train_file_path"):
        raise StepError("Either train_file_path or train_mltable_path must be given.")
    datastore = Datastore(job.connection, job.containers)
    folder = job.work / "data"
    folder.mkdir(parents=True, exist_ok=True)
    for split in SPLITS:
        uri = job.inputs.get(f"{split}_file_path")
        if uri:
            _validate_split(datastore, folder, split, uri)


def _validate_split(datastore: Any, folder: Path, split: str, uri: str) -> None:
    source = folder / f"{split}-{Path(uri).name}"
    datastore.download(uri, source)
    kept = dropped = 0
    with (folder / f"{split}.valid").open("wb") as target:
        for row in _with_messages(source, split):
            if row["messages"]:
                target.write(orjson.dumps({"messages": _conversation(row, split, kept + dropped + 1)}) + b"\n")
                kept += 1
            else:
                dropped += 1
    log.info("%s: %d rows, %d dropped because messages is null or empty", split, kept + dropped, dropped)
    if not kept:
        raise StepError(f"Found no usable rows in the {split} data after dropping null and empty ones.")
    source.unlink()


def _with_messages(source: Path, split: str) -> Any:
    for number, row in enumerate(read_rows(source), start=1):
        if "messages" not in row:
            columns = sorted(row)
            raise StepError(f"{split} data, row {number}: column 'messages' not found. Data has columns {columns}.")
        yield row


def _conversation(row: Row, split: str, number: int) -> list[dict[str, str]]:
    messages = row["messages"]
    if not isinstance(messages, list):
        raise StepError(f"{split} data, row {number}: messages is a {type(messages).__name__}, not a list.")
    for position, message in enumerate(messages):
        if not isinstance(message, dict) or not {"role", "content"} <= set(message):
            raise StepError(f"{split} data, row {number}: message {position} has no role and content.")
        if not isinstance(message["content"], str):
            raise StepError(f"{split} data, row {number}: content of message {position} is no text.")
    return messages


def import_model(job: TrainingJob) -> None:
    """Exactly what the finetuning starts from must be said."""
    given = {name: job.inputs.get(name) for name in ("mlflow_model_path", "pytorch_model_path", "huggingface_id")}
    named = {name: value for name, value in given.items() if value}
    if not named:
        raise StepError("Any one of mlflow_model_path, pytorch_model_path, huggingface_id must be given.")
    if set(named) == {"huggingface_id"} and not job.inputs.get("finetune_config_path"):
        raise StepError("huggingface_id needs finetune_config_path.")
    name, value = next(iter(named.items()))
    (job.work / "base_model.json").write_text(json.dumps({"input": name, "value": value}))
    log.info("base model: %s = %s (its weights are not used locally)", name, value)


def preprocess(job: TrainingJob) -> None:
    """Cut what is missing: 80/10/10 by position, or 20 % of train when only one split is missing."""
    data = job.work / "data"
    rows = {split: _lines(data / f"{split}.valid") for split in SPLITS}
    train = rows["train"]
    missing = [split for split in ("validation", "test") if not rows[split]]
    if len(missing) == 2:
        first, second = len(train) * 8 // 10, len(train) * 9 // 10
        rows["train"], rows["validation"], rows["test"] = train[:first], train[first:second], train[second:]
    elif len(missing) == 1:
        cut = len(train) * 8 // 10
        rows["train"], rows[missing[0]] = train[:cut], train[cut:]
    for split in SPLITS:
        (data / f"{split}.ready").write_bytes(b"".join(rows[split]))
        log.info("%s: %d rows", split, len(rows[split]))
    if not rows["train"]:
        raise StepError("No rows are left to train on after the split.")


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True) if path.exists() else []


def finetune(job: TrainingJob) -> None:
    """Check the machine, then train."""
    from local.azureml.training.curve import Plan
    from local.azureml.training.retrieval import RetrievalTrainer
    from local.azureml.training.tracking import RunLogger

    _check_gpus(job)
    _check_together(job)
    data = job.work / "data"
    dialogues = {
        split: [orjson.loads(line)["messages"] for line in _lines(data / f"{split}.ready")]
        for split in ("train", "validation")
    }
    folder = job.work / "trained"
    folder.mkdir(parents=True, exist_ok=True)
    pause = job.seconds / (len(Plan.of(len(dialogues["train"]), job.inputs).steps()) + 1)
    with RunLogger(job.tracking, [job.runs[FINETUNE], job.name]) as metrics:

        def log_paced(step: int, values: dict[str, float]) -> None:
            time.sleep(pause)
            metrics.log(step, values)

        RetrievalTrainer().train(dialogues, job.inputs, folder, log_paced)


def _check_gpus(job: TrainingJob) -> None:
    wanted = job.inputs["number_of_gpu_to_use_finetuning"]
    size = job.inputs["instance_type_finetune"]
    if job.inputs["compute_finetune"] != "serverless":
        return
    if size.lower() not in job.gpus:
        raise StepError(f"The specified VM size '{size}' is not supported in this region.", "BadArgument")
    found = job.gpus[size.lower()]
    if found < wanted:
        raise StepError(
            f"RuntimeError: CUDA error: invalid device ordinal. number_of_gpu_to_use_finetuning is {wanted}, "
            f"{size} has {found}."
        )


def _check_together(job: TrainingJob) -> None:
    """As the component does it: only now, on the GPU machine."""
    on = {name for name in ("apply_deepspeed", "apply_ort", "auto_find_batch_size", "apply_early_stopping")
          if str(job.inputs.get(name)).lower() == "true"}  # fmt: skip
    if {"apply_deepspeed", "auto_find_batch_size"} <= on:
        raise StepError("Deepspeed and auto_find_batch_size cannot be enabled at the same time.")
    if {"apply_deepspeed", "apply_ort"} <= on and str(job.inputs.get("deepspeed_stage")) == "3":
        raise StepError("ORT does not work with deepspeed stage 3.")
    if "apply_early_stopping" in on and job.inputs.get("evaluation_strategy") == "disable":
        raise StepError("Early stopping needs evaluation_strategy to be steps or epoch.")


def convert(job: TrainingJob) -> dict[str, Any]:
    """Wrap what was trained as an MLflow model and leave it in the job's output."""
    from local.azureml.training.converter import save_as_mlflow
    from local.azureml.training.datastore import Datastore

    folder = job.work / "mlflow_model_folder"
    flavors = save_as_mlflow(job.work / "trained", folder)
    container = next(iter(job.containers.values()))
    count = Datastore(job.connection, job.containers).upload_folder(folder, container, job.output_path)
    log.info("%d files in %s/%s", count, container, job.output_path)
    return {"flavors": flavors}


STEPS: dict[str, Callable[[TrainingJob], dict[str, Any] | None]] = {
    VALIDATION: validate,
    MODEL_IMPORT: import_model,
    PREPROCESS: preprocess,
    FINETUNE: finetune,
    CONVERTER: convert,
}
