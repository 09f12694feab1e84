"""Dialogues that were written as one text, with the marks of a model's chat template between the turns.

The marks are those that the models' cards and tokenizers publish. White space around a turn belongs to the template.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from shared.conversion.values import Turns, Unusable, turn

_HEAD = 65_536
"""So much of a text tells its template."""
_ENDS = ("<s>", "</s>", "<bos>", "<eos>", "<|begin_of_text|>", "<|end_of_text|>", "<|endoftext|>", "<pad>")


@dataclass(frozen=True, slots=True)
class TextTemplate:
    """How a family of models writes a dialogue: what is before a turn and names its role, and what ends a turn."""

    name: str
    marks: tuple[str, ...]
    """A text that has all of these is in this template."""
    header: re.Pattern[str]
    ends: tuple[str, ...] = ()
    preamble: str = ""
    """How a text begins that is part of the template, and no system turn."""


# The first one whose marks are all there is meant: those with more marks come before those with fewer.
TEXT_TEMPLATES: tuple[TextTemplate, ...] = (
    TextTemplate(
        "Phi-4", ("<|im_start|>", "<|im_sep|>"), re.compile(r"<\|im_start\|>(\w{1,20})<\|im_sep\|>"), ("<|im_end|>",)
    ),
    TextTemplate("ChatML", ("<|im_start|>",), re.compile(r"<\|im_start\|>(\w{1,20})\n?"), ("<|im_end|>",)),
    TextTemplate(
        "Llama 3",
        ("<|start_header_id|>",),
        re.compile(r"<\|start_header_id\|>(\w{1,20})<\|end_header_id\|>"),
        ("<|eot_id|>", "<|eom_id|>"),
    ),
    TextTemplate(
        "Gemma",
        ("<start_of_turn>",),
        re.compile(r"<start_of_turn>(\w{1,20})\n?"),
        ("<end_of_turn>",),
    ),
    TextTemplate(
        "Phi-3",
        ("<|user|>", "<|assistant|>", "<|end|>"),
        re.compile(r"<\|(system|user|assistant)\|>"),
        ("<|end|>",),
    ),
    TextTemplate("Zephyr", ("<|user|>", "<|assistant|>"), re.compile(r"<\|(system|user|assistant)\|>")),
    TextTemplate(
        "DeepSeek",
        ("<｜User｜>", "<｜Assistant｜>"),
        re.compile(r"<｜(User|Assistant)｜>"),
        ("<｜end▁of▁sentence｜>", "<｜begin▁of▁sentence｜>"),
    ),
    TextTemplate("Llama 2 and Mistral", ("[INST]", "[/INST]"), re.compile(r"\[(/?INST)\]")),
    TextTemplate("Guanaco", ("### Human", "### Assistant"), re.compile(r"### (Human|Assistant|System): ?")),
    TextTemplate(
        "Alpaca's text",
        ("### Instruction:", "### Response:"),
        re.compile(r"### (Instruction|Input|Response):"),
        preamble="Below is an instruction that describes a task",
    ),
    TextTemplate(
        "Human and Assistant",
        ("Human:", "\n\nAssistant:"),
        re.compile(r"(?:^|\n\n)(Human|Assistant|System): ?"),
    ),
    TextTemplate("Vicuna", ("USER:", "ASSISTANT:"), re.compile(r"(?:^|(?<=\s)|(?<=>))(USER|ASSISTANT): ?")),
)
_BY_NAME = {template.name: template for template in TEXT_TEMPLATES}
_ROLES = {"/INST": "assistant", "INST": "user", "Instruction": "user", "Input": "user", "Response": "assistant"}
_SYSTEM = re.compile(r"\s*<<SYS>>(.*?)<</SYS>>", re.DOTALL)


def template_of_text(text: str) -> str:
    """The name of the template that a text is in; empty if it is in none that is known."""
    head = text[:_HEAD]
    return next((one.name for one in TEXT_TEMPLATES if all(mark in head for mark in one.marks)), "")


def turns_in_text(text: str, template: str) -> Turns:
    """The turns of a text. Raises Unusable where the marks of the template are not in it."""
    known = _BY_NAME[template]
    before, *found = known.header.split(text)
    if not found:
        raise Unusable("template-missing")
    turns: Turns = []
    before = _without(before, known.ends)
    if before and not (known.preamble and before.startswith(known.preamble)):
        turns.append(turn("system", before))
    for name, content in zip(found[::2], found[1::2], strict=True):
        turns.append(turn(_ROLES.get(name, name), _without(content, known.ends)))
    if turns[-1]["role"] == "assistant" and not turns[-1]["content"]:
        turns.pop()  # the mark that asks for the next answer
    return _instructions(turns) if template in ("Llama 2 and Mistral", "Alpaca's text") else turns


def _without(text: str, ends: Sequence[str]) -> str:
    """A turn's text alone."""
    for mark in (*ends, *_ENDS):
        text = text.replace(mark, "")
    return text.strip()


def _instructions(turns: Turns) -> Turns:
    """What these two templates put into a user's turn: the system turn, or an input behind the instruction."""
    found: Turns = []
    for one in turns:
        if one["role"] == "user" and (system := _SYSTEM.match(one["content"])):
            found.append(turn("system", system[1].strip()))
            found.append(turn("user", one["content"][system.end() :].strip()))
        elif one["role"] == "user" and found and found[-1]["role"] == "user":
            found[-1] = turn("user", "\n\n".join(filter(None, (found[-1]["content"], one["content"]))))
        else:
            found.append(one)
    return found
