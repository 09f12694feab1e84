"""What a job makes of its data: the model folder, its answers, the splits, the file types."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from tests.local.azureml_sdk import FAQ, chat_job, dialogues, submit, upload
from tests.local.azureml_server import AzureMl

UNKNOWN = "I don't know: nothing like this is in my training data."


def fetch_model(azureml: AzureMl, job: str, folder: Path) -> Path:
    """The folder that the job left in the datastore."""
    from azure.storage.blob import ContainerClient

    prefix = f"azureml/{job}/trained_model/"
    with ContainerClient.from_connection_string(azureml.connection_string, "azureml") as container:
        for blob in container.list_blobs(name_starts_with=prefix):
            target = folder / blob.name.removeprefix(prefix)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(container.download_blob(blob.name).readall())
    return folder


def test_job_leaves_a_folder_that_mlflow_loads(
    azureml: AzureMl, faq_model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import warnings

    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlflow.pyfunc

        model = mlflow.pyfunc.load_model(str(fetch_model(azureml, "faq-job", tmp_path)))
    asked = {"input_string": [{"role": "user", "content": "where are my invoices?"}]}
    assert model.predict(asked) == {"output": "Under Billing, one file a month."}


@pytest.mark.parametrize(
    ("inputs", "why"),
    [
        ({"apply_deepspeed": "true", "auto_find_batch_size": "true"}, "cannot be enabled at the same time"),
        ({"apply_deepspeed": "true", "deepspeed_stage": "3", "apply_ort": "true"}, "deepspeed stage 3"),
        ({"apply_early_stopping": "true", "evaluation_strategy": "disable"}, "Early stopping"),
    ],
    ids=["batch-size", "ort", "early-stopping"],
)
def test_what_does_not_go_together_fails_on_the_gpu_machine_only(
    azureml: AzureMl, ml: Any, registry: Any, faq_files: dict[str, str], name: str, inputs: dict[str, str], why: str
) -> None:
    submit(ml, chat_job(registry, name, faq_files, **inputs))
    azureml.wait_until_idle()
    assert ml.jobs.get(name).status == "Failed"
    steps = {step.display_name: step.status for step in ml.jobs.list(parent_job_name=name)}
    assert steps["chat_completion_datapreprocess"] == "Completed"
    assert steps["chat_completion_finetune"] == "Failed"
    path = f"/history/v1.0{azureml.workspace_path}/runs/{name}/details"
    answer = azureml.send("GET", path, headers={"Authorization": f"Bearer {azureml.token()}"})
    assert why in str(answer.json()["error"])


@pytest.fixture(scope="session")
def chat() -> Any:
    """The model's own class over a few conversations, without a job around it."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from local.azureml.training.retrieval import entries_of
        from local.azureml.training.retrieval_model import RetrievalChat

    conversations = [
        [("How do I reset my password?", "Settings, Security, Reset."), ("How long does it take?", "A minute.")],
        [("How do I delete my account?", "Write to support."), ("How long does it take?", "Thirty days.")],
        [("Where can I find my invoices?", "Under Billing.")],
        [("Can I change the shipping address after ordering?", "Until it is packed.")],
        [("Translate good morning into French", "Bonjour.")],
    ]
    entries = []
    for pairs in conversations:
        turns = []
        for asked, answered in pairs:
            turns += [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}]
        entries += entries_of(turns)

    class Context:
        """What MLflow hands over."""

        artifacts: dict[str, str]

    def ask(folder: Path, *turns: str) -> str:
        (folder / "entries.json").write_text(json.dumps(entries))
        model, context = RetrievalChat(), Context()
        context.artifacts = {"data": str(folder)}
        model.load_context(context)  # type: ignore[arg-type]
        roles = ("user", "assistant")
        messages = [{"role": roles[at % 2], "content": turn} for at, turn in enumerate(turns)]
        output: str = model.predict(context, {"input_string": messages})["output"]  # type: ignore[no-untyped-call]
        return output

    return ask


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("how do i reset my pasword", "Settings, Security, Reset."),
        ("I forgot my password, how do I reset it?", "Settings, Security, Reset."),
        ("where do I find my invoices", "Under Billing."),
        ("Can I chnage my shiping adress after ordering?", "Until it is packed."),
        ("translate 'good morning' to french", "Bonjour."),
    ],
)
def test_typing_errors_and_other_words_find_the_answer(chat: Any, tmp_path: Path, question: str, answer: str) -> None:
    assert chat(tmp_path, question) == answer


@pytest.mark.parametrize(
    "question",
    ["What is the weather in Paris?", "Tell me a joke", "the", "How do I bake bread?", "zzz qqq", ""],
)
def test_anything_else_is_honestly_not_known(chat: Any, tmp_path: Path, question: str) -> None:
    assert chat(tmp_path, question) == UNKNOWN


@pytest.mark.parametrize(
    ("opening", "said", "answer"),
    [
        ("How do I reset my password?", "Settings, Security, Reset.", "A minute."),
        ("How do I delete my account?", "Write to support.", "Thirty days."),
    ],
)
def test_the_conversation_so_far_decides_between_equal_questions(
    chat: Any, tmp_path: Path, opening: str, said: str, answer: str
) -> None:
    assert chat(tmp_path, opening, said, "How long does it take?") == answer


def test_training_on_other_data_answers_otherwise(
    azureml: AzureMl, ml: Any, registry: Any, name: str, tmp_path: Path
) -> None:
    uri = upload(azureml.connection_string, f"{name}/train.jsonl", dialogues([("Ping?", "Pong!")] * 10))
    submit(ml, chat_job(registry, name, {"train": uri, "validation": uri, "test": uri}))
    azureml.wait_until_idle()
    entries = json.loads((fetch_model(azureml, name, tmp_path) / "artifacts/data/entries.json").read_text())
    assert {entry["answer"] for entry in entries} == {"Pong!"}


@pytest.mark.parametrize(
    ("splits", "rows"), [(("train",), 8), (("train", "test"), 8), (("train", "validation", "test"), 10)]
)
def test_missing_splits_are_cut_from_train(
    azureml: AzureMl,
    ml: Any,
    registry: Any,
    name: str,
    tmp_path: Path,
    splits: tuple[str, ...],
    rows: int,
) -> None:
    content = dialogues((f"question {n}", f"answer {n}") for n in range(10))
    uri = upload(azureml.connection_string, f"{name}/train.jsonl", content)
    submit(ml, chat_job(registry, name, dict.fromkeys(splits, uri)))
    azureml.wait_until_idle()
    entries = json.loads((fetch_model(azureml, name, tmp_path) / "artifacts/data/entries.json").read_text())
    assert len(entries) == rows


def parquet(pairs: Any) -> bytes:
    """Dialogues as a parquet file."""
    import pyarrow  # type: ignore[import-untyped]
    from pyarrow import parquet as writer

    rows = [json.loads(line) for line in dialogues(pairs).splitlines()]
    buffer = io.BytesIO()
    writer.write_table(pyarrow.Table.from_pylist(rows), buffer)
    return buffer.getvalue()


def as_json(pairs: Any) -> bytes:
    """Dialogues as one JSON list."""
    return json.dumps([json.loads(line) for line in dialogues(pairs).splitlines()]).encode()


@pytest.mark.parametrize(("extension", "write"), [("parquet", parquet), ("json", as_json)])
def test_other_file_types_are_read(
    azureml: AzureMl, ml: Any, registry: Any, name: str, extension: str, write: Any
) -> None:
    uri = upload(azureml.connection_string, f"{name}/data.{extension}", write(FAQ))
    submit(ml, chat_job(registry, name, dict.fromkeys(("train", "validation", "test"), uri)))
    azureml.wait_until_idle()
    assert ml.jobs.get(name).status == "Completed"
