"""Training parameters: what may be set, who wins, and that the component takes whatever is let through."""

from __future__ import annotations

import json
import typing
from pathlib import Path
from typing import Any

import pytest

from shared.config.hyperparameters import (
    NUMBERS,
    Hyperparameters,
    check_limits,
    check_together,
    display_name,
    from_tag,
    merged,
)
from shared.errors import BadSnapshot

# The registry's own facts, written down for the other side of the wire: two readings, compared here.
COMPONENT = json.loads(Path("local/azureml/registry/chat_completion_pipeline.json").read_text())["inputs"]
FIELDS = Hyperparameters.model_fields
TYPES = {int: "integer", float: "number"}


def test_later_layers_win_value_by_value() -> None:
    found = merged(
        ("tag", {"learning_rate": "5e-6", "apply_lora": "false", "lora_r": 16}),
        ("HYPERPARAMETERS", {"learning_rate": 1e-4, "seed": 1}),
        ("snapshot.json", {"seed": 2}),
    )
    assert (found.learning_rate, found.apply_lora, found.lora_r, found.seed) == (1e-4, "false", 16, 2)
    assert found.num_train_epochs == FIELDS["num_train_epochs"].default


def test_no_layers_are_the_defaults() -> None:
    assert merged() == Hyperparameters()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"apply_lora": True}, "true"),
        ({"apply_lora": "False"}, "false"),
        ({"precision": 16}, "16"),
        ({"precision": "32"}, "32"),
        ({"deepspeed_stage": 3}, "3"),
        ({"num_train_epochs": "2"}, 2),
        ({"num_train_epochs": 2.0}, 2),
        ({"learning_rate": "5e-6"}, 5e-6),
        ({"learning_rate": 1}, 1.0),
    ],
)
def test_values_arrive_as_the_component_wants_them(given: dict[str, Any], expected: object) -> None:
    (name,) = given
    found = merged(("snapshot.json", given)).inputs()[name]
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"learning_rate": 0}, "learning_rate = 0: Input should be greater than 0"),
        ({"learning_rate": 2}, "less than or equal to 1"),
        ({"learning_rate": True}, "learning_rate = True: Input should be a number"),
        ({"learning_rate": float("nan")}, "finite"),
        ({"weight_decay": float("inf")}, "finite"),
        ({"weight_decay": "inf"}, "finite"),
        ({"num_train_epochs": 0}, "num_train_epochs = 0"),
        ({"num_train_epochs": True}, "Input should be a number"),
        ({"num_train_epochs": 1.5}, "num_train_epochs = 1.5"),
        ({"num_train_epochs": None}, "num_train_epochs = None"),
        ({"num_train_epochs": [1]}, "valid integer"),
        ({"lora_dropout": 1}, "less than 1"),
        ({"precision": 8}, "'16' or '32'"),
        ({"precision": True}, "'16' or '32'"),
        ({"apply_lora": 1}, "'true' or 'false'"),
        ({"apply_lora": "yes"}, "'true' or 'false'"),
        ({"lr_scheduler_type": "sine"}, "'linear', 'cosine'"),
        ({"per_device_train_batch_size": 0}, "greater than or equal to 1"),
    ],
)
def test_a_wrong_value_is_refused_with_its_source_the_value_and_what_is_allowed(
    given: dict[str, Any], told: str
) -> None:
    with pytest.raises(BadSnapshot) as refused:
        merged(("HYPERPARAMETERS", {"seed": 1}), ("snapshot.json", given))
    assert str(refused.value).startswith("snapshot.json: ")
    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("key", "near"),
    [
        ("epochs", "num_train_epochs"),
        ("lerning_rate", "learning_rate"),
        ("learningRate", "learning_rate"),
        ("batch_size", "auto_find_batch_size"),
        ("lora", "lora_r"),
    ],
)
def test_an_unknown_name_is_refused_with_a_known_one_that_was_probably_meant(key: str, near: str) -> None:
    with pytest.raises(BadSnapshot, match=rf"^HYPERPARAMETERS: unknown hyperparameter '{key}'; did you mean '{near}'"):
        merged(("HYPERPARAMETERS", {key: 1}))


@pytest.mark.parametrize(
    "given",
    [
        {"auto_find_batch_size": True},
        {"deepspeed_stage": 3, "apply_ort": True},
        {"apply_early_stopping": True, "evaluation_strategy": "disable"},
    ],
)
def test_what_fails_together_on_the_gpu_machine_only_is_refused_before(given: dict[str, Any]) -> None:
    with pytest.raises(BadSnapshot) as refused:
        check_together(merged(("snapshot.json", given)))
    assert all(name in str(refused.value) for name in given)
    check_together(merged(("snapshot.json", {**given, "apply_deepspeed": False, "apply_early_stopping": False})))


def test_the_defaults_go_together() -> None:
    check_together(merged())


def test_an_unknown_name_like_no_other_is_refused_without_a_hint() -> None:
    with pytest.raises(BadSnapshot, match=r"unknown hyperparameter 'zzz'$"):
        merged(("snapshot.json", {"zzz": 1}))


def test_a_huge_wrong_value_is_cut_in_the_message() -> None:
    with pytest.raises(BadSnapshot) as refused:
        merged(("snapshot.json", {"optim": "x" * 60_000}))
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    ("text", "expected", "left_out"),
    [
        (None, {}, []),
        ("", {}, []),
        ("{}", {}, []),
        (
            "{'apply_lora': 'true', 'precision': 16, 'learning_rate': '5e-6'}",
            {"apply_lora": "true", "precision": 16, "learning_rate": "5e-6"},
            [],
        ),
        ('{"apply_lora": true, "seed": null, "precision": 16}', {"apply_lora": True, "precision": 16}, []),
        ("{'learning_rate_max': '5e-5', 7: 1, 'seed': 3}", {"seed": 3}, ["7", "learning_rate_max"]),
    ],
)
def test_the_models_tag_is_read_as_far_as_its_names_may_be_set(
    text: str | None, expected: dict[str, Any], left_out: list[str]
) -> None:
    assert from_tag(text) == (expected, left_out)


@pytest.mark.parametrize("text", ["[1]", "5", "{", "{[]: 1}", "__import__('os').getcwd()", "(" * 400, "{'a': 1}\0"])
def test_a_tag_that_is_no_dict_is_refused_and_never_run(text: str) -> None:
    with pytest.raises(BadSnapshot, match="is neither a JSON object nor a Python dict"):
        from_tag(text)


@pytest.mark.parametrize(
    ("values", "gpus", "nodes", "expected"),
    [
        ({}, 1, 1, "Phi-4-bs-1-cosine-ds-2-lora-save-limit-1-seqlen--1"),
        (
            {
                "per_device_train_batch_size": 2,
                "gradient_accumulation_steps": 4,
                "apply_deepspeed": False,
                "apply_lora": False,
                "max_seq_length": 2048,
                "lr_scheduler_type": "linear",
                "save_total_limit": 3,
            },
            8,
            2,
            "Phi-4-bs-128-linear-nods-nolora-save-limit-3-seqlen-2048",
        ),
    ],
)
def test_the_display_name_tells_what_shapes_the_training(
    values: dict[str, Any], gpus: int, nodes: int, expected: str
) -> None:
    assert display_name("Phi-4", merged(("x", values)), gpus, nodes) == expected
    assert "/" not in display_name("microsoft/Phi-4", merged(("x", values)), gpus, nodes)


@pytest.mark.parametrize("name", FIELDS)
def test_the_component_has_an_input_of_this_name_and_kind(name: str) -> None:
    kind, fact = FIELDS[name].annotation, COMPONENT[name]
    if kind in TYPES:
        assert fact["type"] == TYPES[typing.cast(Any, kind)]
        assert "enum" not in fact
    else:
        assert fact["type"] == "string"
        assert set(typing.get_args(kind)) <= set(fact["enum"])


@pytest.mark.parametrize("name", [name for name, fact in COMPONENT.items() if name in FIELDS and "min" in fact])
def test_what_is_below_the_components_minimum_is_refused_here(name: str) -> None:
    with pytest.raises(BadSnapshot, match=name):
        merged(("snapshot.json", {name: COMPONENT[name]["min"] - 1}))


def test_nothing_that_decides_where_and_what_is_trained_can_be_set() -> None:
    assert not [name for name in FIELDS if name.startswith(("compute_", "instance_type_")) or name.endswith("_path")]
    assert not {"num_nodes_finetune", "number_of_gpu_to_use_finetuning", "task_name", "trust_remote_code"} & set(FIELDS)


@pytest.mark.parametrize("name", [name for name, field in FIELDS.items() if field.annotation is int])
@pytest.mark.parametrize("number", [2**31, 2**64, 10**30, str(10**30), -(2**31), f"-{10**30}"])
def test_a_whole_number_that_neither_the_component_nor_a_row_can_hold_is_refused(name: str, number: int | str) -> None:
    with pytest.raises(BadSnapshot, match=name):
        merged(("snapshot.json", {name: number}))


@pytest.mark.parametrize("key", ["k" * 60_000, "\x1b[2J", "a\nb", "\u202e"])
def test_an_unknown_name_is_shown_short_and_without_harm(key: str) -> None:
    with pytest.raises(BadSnapshot, match="unknown hyperparameter") as refused:
        merged(("snapshot.json", {key: 1}))
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize(
    ("asked", "limits", "refused"),
    [
        ({"num_train_epochs": 4}, {"num_train_epochs": 3}, "num_train_epochs = 4 (allowed: at most 3)"),
        ({"num_train_epochs": "4"}, {"num_train_epochs": 3}, "num_train_epochs = 4 (allowed: at most 3)"),
        ({"learning_rate": 0.5}, {"learning_rate": 0.01}, "learning_rate = 0.5 (allowed: at most 0.01)"),
        ({"max_seq_length": 8192}, {"max_seq_length": 4096}, "max_seq_length = 8192 (allowed: at most 4096)"),
        (
            {"max_seq_length": -1},
            {"max_seq_length": 4096},
            "max_seq_length = -1, without a bound (allowed: at most 4096)",
        ),
        ({"max_steps": 9}, {"num_train_epochs": 3}, "max_steps = 9 (allowed: only -1, to go by num_train_epochs)"),
        ({"max_steps": 9}, {"num_train_epochs": 3, "max_steps": 5}, "max_steps = 9 (allowed: at most 5)"),
    ],
)
def test_what_is_asked_for_beyond_a_limit_is_refused_with_name_found_and_allowed(
    asked: dict[str, Any], limits: dict[str, float], refused: str
) -> None:
    with pytest.raises(BadSnapshot) as error:
        check_limits("snapshot.json", asked, limits)
    assert str(error.value) == f"snapshot.json: {refused}; the limits are those of HYPERPARAMETER_LIMITS"


def test_all_that_is_beyond_the_limits_is_said_at_once() -> None:
    with pytest.raises(BadSnapshot, match=r"num_train_epochs = 9 .*, lora_r = 512 "):
        check_limits("s", {"num_train_epochs": 9, "lora_r": 512}, {"lora_r": 64, "num_train_epochs": 3})


@pytest.mark.parametrize(
    ("asked", "limits"),
    [
        ({}, {"num_train_epochs": 1}),
        ({"num_train_epochs": 3, "max_steps": -1}, {"num_train_epochs": 3}),
        ({"max_steps": 5}, {"max_steps": 5}),
        ({"max_seq_length": -1, "optim": "adafactor"}, {}),
    ],
)
def test_what_keeps_to_the_limits_is_taken(asked: dict[str, Any], limits: dict[str, float]) -> None:
    check_limits("snapshot.json", asked, limits)


def test_every_number_can_have_a_limit_and_nothing_else() -> None:
    assert {"num_train_epochs", "max_seq_length", "learning_rate", "seed"} <= set(NUMBERS)
    assert not {"apply_lora", "precision", "optim"} & set(NUMBERS)
