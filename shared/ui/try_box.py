"""The box to try a model: one question as a call, and the view with its answer. Called by the page's functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.serving.calls import ChatCall
from shared.serving.turns import ChatTurn
from shared.ui.view import View

if TYPE_CHECKING:
    from shared.runtime import Services
    from shared.serving.calls import AnswerPiece
    from shared.serving.protocol import ApiError

LONGEST = 20_000


def problem(question: str) -> str:
    """Why a question cannot be asked, or nothing."""
    if not question.strip():
        return "Type a question first."
    return "" if len(question) <= LONGEST else f"A question here has at most {LONGEST} characters."


def call(dataset: str, question: str, system: str, request_id: str) -> ChatCall:
    """The call: like any client's, in the model's own parameters."""
    turns = [ChatTurn(role="system", content=system[:LONGEST])] if system.strip() else []
    return ChatCall(dataset, [*turns, ChatTurn(role="user", content=question)], request_id=request_id)


def in_words(error: ApiError) -> str:
    """Why there is no answer, and when another try may help."""
    again = f" Try again in {error.retry_after} s." if error.retry_after else ""
    return f"{str(error)[:1].upper()}{str(error)[1:]}.{again}"


def empty(services: Services, dataset: str) -> View:
    """The box before anything is asked. Raises NotFound for an unknown dataset."""
    services.ledger.read(f"dataset/{dataset}")
    return view(dataset)


def view(
    dataset: str,
    question: str = "",
    system: str = "",
    wrong: str = "",
    answer: AnswerPiece | None = None,
    seconds: float = 0.0,
) -> View:
    """The box, with what was asked and what came of it."""
    values = {
        "name": dataset, "question": question, "system": system, "wrong": wrong, "answer": answer, "seconds": seconds,
    }  # fmt: skip
    return View("ask.html", f"Ask {dataset}", values, here="datasets", refresh=0)
