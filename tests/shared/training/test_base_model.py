"""What the registry says of a base model: read, and refused all at once with live ones named."""

from __future__ import annotations

from typing import Any

import pytest

from shared.ledger.rows import Check
from shared.training import base_model
from shared.training.base_model import FINETUNE, INFERENCE, MinimumSize
from tests.builders import a_base_model
from tests.fakes import START, World


def _problems(**changes: Any) -> list[str]:
    return base_model.problems(a_base_model(**changes), START)


@pytest.mark.parametrize("tasks", ["chat-completion", "text-generation, chat-completion", "Chat_Completion"])
def test_a_model_for_chat_is_fine(tasks: str) -> None:
    assert _problems(properties={"finetuning-tasks": tasks}) == []


def test_a_model_of_unknown_tasks_is_left_to_azure() -> None:
    assert _problems() == []


@pytest.mark.parametrize(
    ("tasks", "words"),
    [("text-generation", "only on text-generation"), ("", "only on nothing"), ("a,b", "only on a, b")],
)
def test_a_model_whose_tasks_lack_chat_is_refused_and_can_be_excused(tasks: str, words: str) -> None:
    model = a_base_model(properties={"finetuning-tasks": tasks})
    (blocker,) = base_model.blockers(World().services, model, "change BASE_MODEL")
    assert f"Phi-4:8 cannot be fine-tuned on chat-completion, {words}; use a live one" in blocker.text
    assert blocker.check == Check.MODEL


def test_a_model_that_is_no_mlflow_model_is_refused_for_good() -> None:
    model = a_base_model(name="gpt-oss-20b", kind="custom_model")
    (blocker,) = base_model.blockers(World().services, model, "change BASE_MODEL")
    assert "is a custom_model and no mlflow_model" in blocker.text
    assert "pytorch_model_path" in blocker.text
    assert "such as Phi-4: change BASE_MODEL" in blocker.text
    assert blocker.check is None


def test_all_that_is_wrong_with_a_model_is_said_in_one_sentence() -> None:
    found = _problems(
        archived=True,
        kind="custom_model",
        properties={"finetuning-tasks": "text-generation"},
        tags={"FinetuneRetirementDate": "2025-08-30", "inferenceRetirementDate": "2025-09-30"},
    )
    assert [text.split()[-1] for text in found] == [
        "pytorch_model_path)",
        "text-generation",
        "archived",
        "2025-08-30",
        "2025-09-30",
    ]


def test_no_model_is_named_instead_that_could_not_be_used_either() -> None:
    world = World()
    world.workspace.registry.properties = {"finetuning-tasks": "text-generation"}
    assert base_model.alternatives(world.services, "Phi-3") == ""
    world.workspace.registry.properties = {}
    assert base_model.alternatives(world.services, "Phi-3") == " such as Phi-4"


@pytest.mark.parametrize(
    "tag",
    ["", "no dictionary", "{'finetuneRetirementDate': 'soon'}", "{'finetuneRetirementDate': 5}", "[1]", "(" * 400],
)
def test_dates_that_cannot_be_read_are_as_if_they_were_not_there(tag: str) -> None:
    assert _problems(tags={"deprecation": tag}) == []


def test_a_date_that_cannot_be_read_hides_no_other() -> None:
    dates = "{'finetuneRetirementDate': 5, 'inferenceRetirementDate': '2025-01-01'}"
    assert _problems(tags={"deprecation": dates}) == ["cannot be served since 2025-01-01"]


def test_a_date_without_a_zone_is_utc_and_counts_from_its_first_second() -> None:
    model = a_base_model(tags={"deprecation": "{'inferenceRetirementDate': '2026-09-21T14:13:20'}"})
    assert base_model.retirement(model, START) == ["cannot be served since 2026-09-21"]
    assert base_model.retirement(model, START - 1) == []


@pytest.mark.parametrize("text", ["5", "{'a': 1}", "'Standard'", "[", "{[]: 1}", "list()", "(" * 400])
def test_an_allow_list_that_is_none_is_refused_and_never_run(text: str) -> None:
    assert _problems(tags={FINETUNE: text}) == [f"has a tag {FINETUNE} that is not a Python list"]


@pytest.mark.parametrize(("text", "sizes"), [("['a', 'b']", ["a", "b"]), ("('a',)", ["a"]), ("[]", []), ("", [])])
def test_an_allow_list_is_a_python_list_as_text(text: str, sizes: list[str]) -> None:
    assert base_model.allowed(a_base_model(tags={FINETUNE: text}), FINETUNE) == sizes
    assert _problems(tags={FINETUNE: text}) == []


def test_without_an_allow_list_the_recommended_sizes_are_gone_by() -> None:
    model = a_base_model(tags={}, properties={"finetune-recommended-sku": "A, B", "inference-recommended-sku": "C"})
    assert (base_model.suited(model, FINETUNE), base_model.suited(model, INFERENCE)) == (["A", "B"], ["C"])


@pytest.mark.parametrize(
    ("text", "least"),
    [
        ("24|2|220|64", MinimumSize(24, 2, 220, 64)),
        ("4|1|28", MinimumSize(4, 1, 28)),
        ("24|x|220|64", MinimumSize(24, 0, 220, 64)),
        ("24", MinimumSize()),
        ("", MinimumSize()),
        ("a|b", MinimumSize()),
    ],
)
def test_the_least_machine_is_read_from_the_registry_for_each_use(text: str, least: MinimumSize) -> None:
    model = a_base_model(properties={"finetune-min-sku-spec": text, "inference-min-sku-spec": "6|1|112|64"})
    assert base_model.minimum_size(model, FINETUNE) == least
    assert base_model.minimum_size(model, INFERENCE) == MinimumSize(6, 1, 112, 64)


@pytest.mark.parametrize(
    ("name", "gigabytes"),
    [
        ("Phi-4", 29.4),
        ("Phi-4-mini-instruct", 7.6),
        ("Phi-3.5-mini-instruct", 7.6),
        ("Meta-Llama-3.1-8B-Instruct", 16),
        ("mistralai-Mixtral-8x7B-Instruct-v01", 112),
        ("Qwen2.5-0.5b", 1),
        ("some-model", 0),
        ("model-8beta", 0),
    ],
)
def test_how_large_a_model_is_follows_from_its_name(name: str, gigabytes: float) -> None:
    assert base_model.gigabytes(name) == pytest.approx(gigabytes)
