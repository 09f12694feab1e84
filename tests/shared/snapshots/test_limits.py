"""How strict validation is: settings, the pinned model, snapshot.json; and what the templates of models know."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, get_args

import pytest

from shared.chatdata.templates import TEMPLATES, system_policy, template_of
from shared.config.settings import Settings
from shared.errors import BadSnapshot
from shared.snapshots.limits import policy_of
from shared.validation.policy import LIMITS, Policy, SystemTurns, setting_of
from tests.builders import a_base_model, a_file, a_snapshot


def the_settings(**given: Any) -> Settings:
    ids: dict[str, Any] = {"azure_subscription_id": "s", "azure_resource_group": "g", "azureml_workspace": "w"}
    return Settings(data="x", **ids, **given)


def policy(options: dict[str, Any] | None = None, overrides: tuple[str, ...] = (), **model: Any) -> Policy:
    row = a_snapshot(options=a_file("a/b/snapshot.json"), overrides=overrides)
    return policy_of(the_settings(), row, options or {}, a_base_model(**model))


def test_every_limit_is_a_field_and_every_field_a_limit() -> None:
    assert set(LIMITS) == {field.name for field in dataclasses.fields(Policy)}
    assert set(LIMITS["system_turns"].choices) == set(get_args(SystemTurns))


NO_SETTING = {"roles", "min_train_rows", "max_bad_rows", "max_depth", "max_repeats", "places"}


def test_every_limit_that_is_a_setting_has_the_same_default_there() -> None:
    assert {name for name in LIMITS if not setting_of(name)} == NO_SETTING
    default = {name: field.default for name, field in Settings.model_fields.items()}
    for name in set(LIMITS) - NO_SETTING:
        told = default[setting_of(name).lower()]
        if name in ("max_file_bytes", "max_total_bytes"):
            told *= 1e9
        if name == "context_tokens":  # 0: what the model says
            told = told or 4096
        if name == "system_turns":  # what `auto` means for most templates
            told = system_policy(told, template_of("Phi-4").roles)
        assert told == getattr(Policy(), name), name


@pytest.mark.parametrize("name", sorted(set(LIMITS) - NO_SETTING - {"max_file_bytes", "max_total_bytes"}))
def test_every_setting_reaches_the_policy(name: str) -> None:
    changed: Any = {"system_turns": "fold", "meaning": False, "min_rows": 31, "max_bad_percent": 2.5}.get(name, 77)
    settings = the_settings(**{setting_of(name).lower(): changed})
    assert getattr(policy_of(settings, a_snapshot(), {}, a_base_model()), name) == changed


def test_fewer_rows_than_the_training_component_takes_are_refused() -> None:
    assert policy_of(the_settings(min_rows=3), a_snapshot(), {}, a_base_model()).min_train_rows == 10


def test_size_limit_bounds_one_file_and_all() -> None:
    found = policy_of(the_settings(max_snapshot_gb=0.5), a_snapshot(), {}, a_base_model())
    assert (found.max_file_bytes, found.max_total_bytes) == (500_000_000, 500_000_000)


def test_override_of_bad_rows_lets_training_go_on_without_them() -> None:
    assert policy(overrides=("bad_rows",)).max_bad_percent == 100


STRICTER: list[tuple[str, Any]] = [
    ("min_rows", 500), ("max_rows", 10), ("max_messages", 4), ("max_line_bytes", 2048), ("max_depth", 4),
    ("max_expansion", 3.5), ("max_bad_percent", 0), ("context_tokens", 100), ("system_turns", "fold"),
    ("system_turns", "reject"), ("meaning", True), ("max_repeats", 3), ("max_total_bytes", 10),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), STRICTER)
def test_snapshot_may_be_stricter(name: str, value: Any) -> None:
    assert getattr(policy({"validation": {name: value}}), name) == value


LOOSER: list[tuple[str, Any, str]] = [
    ("min_rows", 3, "loosen"), ("max_rows", 10**9, "loosen"), ("max_messages", 1001, "loosen"),
    ("max_bad_percent", 1, "loosen"), ("max_depth", 33, "loosen"), ("max_expansion", 201, "loosen"),
    ("context_tokens", 10**6, "loosen"), ("max_line_bytes", 2**24, "loosen"),
    ("max_rows", math.nan, "whole number"), ("max_bad_percent", math.nan, "number from 0 to 100"),
    ("max_expansion", math.inf, "loosen"), ("max_rows", "10", "whole number"), ("max_rows", 10.5, "whole number"),
    ("max_rows", True, "whole number"), ("max_rows", None, "whole number"), ("max_rows", 0, "from 1 on"),
    ("max_messages", -1, "from 2 on"), ("min_rows", [20], "whole number"), ("system_turns", "keep", "allow or fold"),
    ("system_turns", ["fold"], "allow or fold"), ("meaning", False, "loosen"), ("meaning", 1, "False or True"),
    ("places", 100, "cannot be set"), ("roles", ["user"], "cannot be set"), ("max_row", 5, "it may set"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value", "why"), LOOSER)
def test_snapshot_may_never_be_looser_nor_say_nonsense(name: str, value: Any, why: str) -> None:
    with pytest.raises(BadSnapshot, match=why) as refused:
        policy({"validation": {name: value}})
    assert str(refused.value).startswith("a/b/snapshot.json: validation: ")
    assert name in str(refused.value)


@pytest.mark.parametrize(
    ("setting", "model", "policy"),
    [
        ("auto", "Phi-4", "allow"),
        ("auto", "Phi-3-mini-4k-instruct", "fold"),
        ("allow", "Phi-3-mini-4k-instruct", "allow"),
        ("fold", "Phi-4", "fold"),
        ("reject", "Phi-3-mini-4k-instruct", "reject"),
    ],
)
def test_system_turns_are_treated_as_the_models_template_can_take_them(setting: str, model: str, policy: str) -> None:
    found = policy_of(the_settings(system_turns=setting), a_snapshot(), {}, a_base_model(name=model))
    assert found.system_turns == policy


def test_fold_cannot_be_undone_by_a_snapshot() -> None:
    settings = the_settings(system_turns="reject")
    for looser in ("allow", "fold"):
        with pytest.raises(BadSnapshot, match="loosen the operator's 'reject'"):
            policy_of(settings, a_snapshot(), {"validation": {"system_turns": looser}}, a_base_model())


@pytest.mark.parametrize(
    ("model", "roles"),
    [
        ("Phi-4", "system user assistant"),
        ("Phi-4-reasoning", "system user assistant"),
        ("Phi-4-mini-instruct", "system user assistant tool"),
        ("Phi-3-mini-4k-instruct", "user assistant"),
        ("microsoft-phi-3-medium-128k", "user assistant"),
        ("Phi-3.5-mini-instruct", "user assistant"),
        ("Llama-2-7b-chat", "system user assistant"),
        ("Meta-Llama-3-8B-Instruct", "system user assistant"),
        ("Meta-Llama-3.1-8B-Instruct", "system user assistant tool ipython"),
        ("Llama-3.3-70B-Instruct", "system user assistant tool ipython"),
        ("mistralai-Mistral-7B-Instruct-v01", "user assistant"),
        ("mistralai-Mixtral-8x7B-Instruct-v01", "user assistant"),
        ("google/gemma-2-9b-it", "user assistant"),
        ("Mistral-Large-2411", "system user assistant"),
        ("something-new", "system user assistant"),
    ],
)
def test_roles_follow_the_pinned_model(model: str, roles: str) -> None:
    assert " ".join(template_of(model).roles) == roles
    assert policy(name=model).roles == template_of(model).roles


def test_every_template_names_its_source_and_is_reached() -> None:
    for template in TEMPLATES:
        assert template.source
        for start in template.starts:
            assert template_of(f"{start}x") is template, start


@pytest.mark.parametrize(("told", "tokens"), [("16384", 16384), ("", 4096), ("128K", 4096), ("٣", 4096), ("0", 1)])
def test_context_is_what_the_models_tag_says(told: str, tokens: int) -> None:
    assert policy(tags={"textContextWindow": told}).context_tokens == tokens
