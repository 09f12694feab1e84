"""The model itself, saved by MLflow as code: answers a conversation from the training dialogue most like it.

This file is copied into the model folder and runs from there; it may import nothing of this project. The
likeness is rapidfuzz's, half with and half without regard to words that only one side has: typing errors
and other words for the same question score above the limit, other questions below it (tried on 41
questions: 40 right; the library's own WRatio: 31).
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from rapidfuzz import fuzz, process, utils

LIMIT = 75.0
# Enough to tell questions apart; keeps long conversations from slowing every answer down.
COMPARED_CHARACTERS = 300
# How much of the score the conversation so far decides.
CONTEXT_WEIGHT = 0.25
UNKNOWN = "I don't know: nothing like this is in my training data."


def normalised(text: str) -> str:
    """Lower case, letters and digits only, the beginning of it."""
    return utils.default_process(text[:COMPARED_CHARACTERS])


def likeness(text: str, choices: list[str]) -> Any:
    """0 to 100 for every choice."""
    kinds = (fuzz.token_sort_ratio, fuzz.token_set_ratio)
    scores = [process.cdist([text], choices, scorer=kind, dtype=np.float32)[0] for kind in kinds]
    return (scores[0] + scores[1]) / 2


class RetrievalChat(PythonModel):
    """Answers with what the training data answered."""

    # Else MLflow asks for annotations, and takes them for the columns of a table.
    _skip_type_hint_validation = True

    def load_context(self, context: PythonModelContext) -> None:
        """Read the entries; called once by MLflow."""
        entries = json.loads(Path(context.artifacts["data"], "entries.json").read_text("utf-8"))
        self.answers = [entry["answer"] for entry in entries]
        self.users = [normalised(entry["user"]) for entry in entries]
        # The end of the conversation so far says more about what is meant than its beginning.
        self.contexts = [normalised(entry["context"][-COMPARED_CHARACTERS:]) for entry in entries]
        self.has_context = np.array([bool(text) for text in self.contexts])

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        """The answer to `{"input_string": [{"role", "content"}, ...], "parameters": {...}}`."""
        turns = [turn for turn in model_input["input_string"] if turn["role"] != "system"]
        *before, last = turns
        answer = self.answer(last["content"], "\n".join(turn["content"] for turn in before))
        limit = (model_input.get("parameters") or {}).get("max_new_tokens")
        return {"output": " ".join(answer.split(" ")[:limit]) if limit else answer}

    def answer(self, asked: str, said: str) -> str:
        """The remembered answer, or that there is none."""
        user = likeness(normalised(asked), self.users)
        score = self.in_context(user, normalised(said[-COMPARED_CHARACTERS:]))
        best = int(score.argmax())
        return self.answers[best] if max(user[best], score[best]) >= LIMIT else UNKNOWN

    def in_context(self, user: Any, said: str) -> Any:
        """The likeness of whole conversations: openings go with openings, follow-ups with follow-ups."""
        if not said:
            return np.where(self.has_context, user - 10, user)
        with_context = (1 - CONTEXT_WEIGHT) * user + CONTEXT_WEIGHT * likeness(said, self.contexts)
        return np.where(self.has_context, with_context, user - 10)


set_model(RetrievalChat())
