"""Rules about what a row holds: the second half of the table in `rules`."""

from __future__ import annotations

from shared.validation.rule import Severity


def _turns(*turns: str) -> bytes:
    return ('{"messages": [' + ", ".join(turns) + "]}").encode()


_ASK = '{"role": "user", "content": "Hi"}'
_ANSWER = '{"role": "assistant", "content": "Hello."}'
_LONG = " ".join(f"Word {number}." for number in range(1800))

TURNS: tuple[tuple[str, Severity, str, str, bytes | None], ...] = (
    (
        "messages-missing",
        "error",
        "The row has no messages.",
        "Put the dialogue into a field named messages.",
        b'{"prompt": "Hi"}',
    ),
    (
        "messages-not-list",
        "error",
        "The field messages is not a list.",
        "Write a list of objects with role and content.",
        b'{"messages": "Hi"}',
    ),
    ("messages-empty", "error", "The dialogue has no turn.", "Leave the row out.", b'{"messages": []}'),
    (
        "too-many-messages",
        "error",
        "The dialogue has more turns than allowed.",
        "Split the dialogue.",
        None,
    ),
    (
        "message-not-object",
        "error",
        "A turn is not an object.",
        'Write {"role": ..., "content": ...}.',
        _turns('"Hi"', _ANSWER),
    ),
    (
        "role-missing",
        "error",
        "A turn has no role.",
        "Name who speaks: user or assistant.",
        _turns('{"content": "Hi"}', _ANSWER),
    ),
    (
        "role-not-text",
        "error",
        "A role is not a text.",
        "Write user or assistant as text.",
        _turns('{"role": 7, "content": "Hi"}', _ANSWER),
    ),
    (
        "role-unknown",
        "error",
        "The model's template does not know the role and would drop the turn without a word.",
        "Use user and assistant (and system where allowed), in lower case.",
        _turns('{"role": "human", "content": "Hi"}', _ANSWER),
    ),
    (
        "role-tool",
        "error",
        "The model's template has no tool or function turns and would drop them without a word.",
        "Leave tool dialogues out, or put what the tool said into a user turn.",
        _turns(_ASK, '{"role": "tool", "content": "42"}', _ANSWER),
    ),
    (
        "tool-misplaced",
        "error",
        "A tool turn comes right after a user turn, though only an assistant calls tools.",
        "Put the assistant turn that asks for it before it.",
        None,
    ),
    (
        "tool-calls",
        "error",
        "A turn calls a tool in a field of its own, which is not trained on; the rest would teach half a call.",
        "Leave tool dialogues out, or write the call into the content, where the model's template knows tool turns.",
        _turns(_ASK, '{"role": "assistant", "content": "Wait.", "tool_calls": [{"id": "1"}]}'),
    ),
    (
        "system-rejected",
        "error",
        "The model's template has no system turn, and the policy says to refuse them.",
        "Move the text into the first user turn, or set the policy to fold.",
        None,
    ),
    (
        "system-dropped",
        "error",
        "The pinned model's template has no system turn: it would drop the turn without a word, or stop the training.",
        "Set SYSTEM_TURNS to fold, or move the text into the first user turn.",
        None,
    ),
    (
        "system-not-first",
        "error",
        "A system turn comes after another turn.",
        "Keep one system turn, at the start.",
        _turns(_ASK, '{"role": "system", "content": "Be kind."}', _ANSWER),
    ),
    (
        "first-not-user",
        "error",
        "The dialogue does not start with the user (after an optional system turn).",
        "Drop the leading assistant turn.",
        _turns(_ANSWER, _ASK, _ANSWER),
    ),
    (
        "role-repeated",
        "error",
        "The same role speaks twice in a row; most templates refuse or garble that.",
        "Join the two turns.",
        _turns(_ASK, _ASK, _ANSWER),
    ),
    (
        "last-not-assistant",
        "error",
        "The dialogue does not end with an answer, so its end teaches nothing.",
        "Drop the last turn, or add the answer.",
        _turns(_ASK, _ANSWER, _ASK),
    ),
    (
        "no-assistant",
        "error",
        "Nothing in the dialogue is an answer to learn from.",
        "Add the answer, or leave the row out.",
        _turns(_ASK),
    ),
    (
        "content-missing",
        "error",
        "A turn has no content.",
        "Add the text, or drop the turn.",
        _turns('{"role": "user"}', _ANSWER),
    ),
    (
        "content-null",
        "error",
        "A turn's content is null.",
        "Add the text, or drop the turn.",
        _turns('{"role": "user", "content": null}', _ANSWER),
    ),
    (
        "content-multimodal",
        "error",
        "A turn's content is a list of parts (text, image, audio); this model reads text only.",
        "Write the text parts as one text, and leave dialogues about images out.",
        _turns('{"role": "user", "content": [{"type": "text", "text": "Hi"}]}', _ANSWER),
    ),
    (
        "content-not-text",
        "error",
        "A turn's content is not a text.",
        "Write the content as text.",
        _turns('{"role": "user", "content": 42}', _ANSWER),
    ),
    (
        "content-empty",
        "error",
        "A turn's content is empty.",
        "Add the text, or drop the turn.",
        _turns('{"role": "user", "content": ""}', _ANSWER),
    ),
    (
        "content-blank",
        "error",
        "A turn's content is only white space.",
        "Add the text, or drop the turn.",
        _turns('{"role": "user", "content": " \\n"}', _ANSWER),
    ),
    (
        "content-nul",
        "error",
        "A turn holds the character NUL, at which many programs stop reading.",
        "Remove it; it mostly comes from a broken export.",
        _turns('{"role": "user", "content": "Hi\\u0000"}', _ANSWER),
    ),
    (
        "weight-invalid",
        "error",
        "A turn's weight is neither 0 nor 1.",
        "Write 0 or 1, or leave weights out: this trainer learns from every answer.",
        _turns(_ASK, '{"role": "assistant", "content": "Hello.", "weight": 0.5}'),
    ),
)

MEANING: tuple[tuple[str, str, str, bytes | None], ...] = (
    (
        "duplicate-row",
        "The row repeats the dialogue of an earlier one; it is kept once.",
        "Remove the repetition, unless it is meant.",
        _turns(_ASK, _ANSWER) + b"\n" + _turns(_ASK, _ANSWER),
    ),
    (
        "leaked-row",
        "The dialogue is also in a held-out file; it is not trained on, so that it can be tested fairly.",
        "Keep each dialogue in one split.",
        None,
    ),
    (
        "prompt-differs",
        "The field prompt is not the first user turn; only messages is trained on.",
        "Check which of the two is right.",
        b'{"prompt": "Ho", "messages": [' + _ASK.encode() + b", " + _ANSWER.encode() + b"]}",
    ),
    (
        "prompt-id-repeated",
        "Two different dialogues have the same prompt_id.",
        "Check the export: one of them may be a leftover.",
        b'{"prompt_id": "a", "messages": ['
        + _ASK.encode()
        + b", "
        + _ANSWER.encode()
        + b']}\n{"prompt_id": "a", "messages": ['
        + _ASK.encode()
        + b', {"role": "assistant", "content": "Ho."}]}',
    ),
    (
        "longer-than-context",
        "By estimate the dialogue has more tokens than the model sees; the trainer cuts its end off.",
        "Split or shorten the dialogue.",
        _turns(_ASK, '{"role": "assistant", "content": "' + _LONG + '"}'),
    ),
    (
        "template-marker",
        "A turn holds a marker of a chat template, which the model may take for the end of a turn.",
        "Remove the marker; the trainer adds its own.",
        _turns(_ASK, '{"role": "assistant", "content": "Hello.<|end|>"}'),
    ),
    (
        "control-character",
        "A turn holds control characters that nobody can see.",
        "Remove them.",
        _turns('{"role": "user", "content": "Hi\\u001b[0m"}', _ANSWER),
    ),
    (
        "likely-secret",
        "A turn holds what looks like a key, token or password; a model can repeat it to anybody.",
        "Remove it from the data, and revoke it.",
        _turns(_ASK, '{"role": "assistant", "content": "Use AKIA' + "IOSFODNN7EXAMPLE" + '."}'),
    ),
    (
        "repetitive-answer",
        "An answer ends in a loop of the same words, and teaches the model to do so.",
        "Cut the repetition, or leave the row out.",
        _turns(_ASK, '{"role": "assistant", "content": "Well. ' + "and so on and on " * 40 + '"}'),
    ),
    (
        "identical-answers",
        "All rows end with the same answer, so the model will learn to say just that.",
        "Check the export: the answers may come from a default value.",
        None,
    ),
)
