"""What the chat templates of base models know: which roles come through, and which are lost or refused.

The trainer renders each dialogue with the template that comes with the model. A role the template does not know is
dropped without a word (Phi-3) or stops the job after the GPU was paid for (Gemma, early Mistral). So the role policy
of a snapshot follows its pinned model. Names are those of the registry `azureml`; a model nobody knows counts as one
with system turns and without tool turns, which is what most templates have. Each line names its source.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

_PLAIN = ("user", "assistant")
_SYSTEM = ("system", "user", "assistant")


@dataclass(frozen=True, slots=True)
class ChatTemplate:
    """The roles that one family of models knows."""

    family: str
    starts: tuple[str, ...]
    """How the names of its models start, in lower case, without the publisher."""
    roles: tuple[str, ...]
    source: str


# The first line that fits decides: longer names come before the shorter ones they start with.
TEMPLATES: tuple[ChatTemplate, ...] = (
    ChatTemplate(
        "Phi-3",
        ("phi-3-", "phi-3.5-"),
        _PLAIN,
        "tokenizer_config.json of April 2024 drops every other role (huggingface/transformers#30545, #30606); Azure's "
        "fine-tuning notebook says so too; a later revision has system turns, the registry does not say which it holds",
    ),
    ChatTemplate(
        "Phi-4-mini, Phi-4-multimodal",
        ("phi-4-mini", "phi-4-multimodal"),
        (*_SYSTEM, "tool"),
        "the template writes any role as it is (quoted in ggml-org/llama.cpp#12288)",
    ),
    ChatTemplate(
        "Phi-4",
        ("phi-4",),
        _SYSTEM,
        "tokenizer_config.json: a branch each for system, user and assistant, none else (meta-pytorch/torchtune#2197)",
    ),
    ChatTemplate(
        "Llama 3.1 and later",
        ("meta-llama-3.1-", "llama-3.1-", "llama-3.2-", "llama-3.3-"),
        (*_SYSTEM, "tool", "ipython"),
        "Meta's model card, prompt formats: system, user, assistant, ipython; the template takes tool for ipython",
    ),
    ChatTemplate(
        "Llama 2 chat, Llama 3",
        ("llama-2-", "meta-llama-3-"),
        _SYSTEM,
        "Meta's model cards, prompt formats: system, user, assistant",
    ),
    ChatTemplate(
        "Mistral and Mixtral, first ones",
        ("mistral-7b-instruct-v01", "mistral-7b-instruct-v0-1", "mistral-7b-instruct-v02", "mistral-7b-instruct-v0-2",
         "mixtral-8x7b-instruct-v01", "mixtral-8x7b-instruct-v0-1"),
        _PLAIN,
        "tokenizer_config.json raises 'Only user and assistant roles are supported'",
    ),
    ChatTemplate(
        "Gemma 1 and 2",
        ("gemma-2-", "gemma-2b", "gemma-7b", "gemma-1.1"),
        _PLAIN,
        "tokenizer_config.json raises 'System role not supported'",
    ),
    ChatTemplate(
        "Qwen 2.5",
        ("qwen2.5-",),
        (*_SYSTEM, "tool"),
        "tokenizer_config.json: system, user, assistant, tool",
    ),
)  # fmt: skip
ANY = ChatTemplate("any other model", (), _SYSTEM, "assumed; set SYSTEM_TURNS to fold or reject if it is not so")


def template_of(model: str) -> ChatTemplate:
    """The template of a model by its name; a publisher before it (`microsoft-`, `google/`) does not matter."""
    name = model.lower().rsplit("/", 1)[-1].replace("_", "-")
    for publisher in ("microsoft-", "google-", "mistralai-", "meta-llama-", "qwen-"):
        short = name.removeprefix(publisher)
        for template in TEMPLATES:
            if name.startswith(template.starts) or short.startswith(template.starts):
                return template
    return ANY


def folds(policy: str, roles: Sequence[str], api: str) -> bool:
    """Whether a system turn is put into the first user turn: by the setting SYSTEM_TURNS, by the roles of the template,
    and by what the container speaks. The generic MLflow image wraps system turns in marks that no training knows."""
    return policy == "fold" or (policy == "auto" and ("system" not in roles or api == "mlflow"))


def system_policy(policy: str, roles: Sequence[str]) -> Literal["allow", "fold", "reject"]:
    """What SYSTEM_TURNS means for the rows of a model with this template."""
    if policy == "reject":
        return "reject"
    return "fold" if folds(policy, roles, "") else "allow"


def fold_system_turn(turns: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put the leading system turn before the first user turn, an empty line between."""
    system, user, *rest = turns
    return [{"content": f"{system['content']}\n\n{user['content']}", "role": user["role"]}, *rest]
