"""Bodies that come with status 200 and are no answer, each with a word of what is told of it.

Whoever takes an answer has to refuse them: the gate, the counts of calls, and the callers.
"""

from __future__ import annotations

NO_ANSWERS = {
    "an exception, or content safety": (b"{}", "content safety"),
    "an error of the engine": (b'{"output": "None"}', "shorten them"),
    "a text that is none": (b'{"output": null}', "none of the known shapes"),
    "a text of another type": (b'{"output": {"text": "x"}}', "none of the known shapes"),
    "no choice": (b'{"choices": []}', "none of the known shapes"),
    "a choice without content": (b'{"choices": [{"message": {"content": null}}]}', "none of the known shapes"),
    "a call of a tool": (
        b'{"choices": [{"message": {"content": null, "tool_calls": [{"id": "1"}]}, "finish_reason": "tool_calls"}]}',
        "none of the known shapes",
    ),
    "an engine that gave up": (
        b'{"choices": [{"message": {"content": "so far"}, "finish_reason": "error"}]}',
        "gave up",
    ),
    "an error": (b'{"error": {"message": "boom"}}', "boom"),
    "an error beside a text": (b'{"content": "so far", "error": "boom"}', "boom"),
    "an error in a list": (b'[{"error": "boom"}]', "boom"),
    "an error of the engine's own shape": (b'{"object": "error", "message": "boom"}', "boom"),
    "no such path": (b'{"detail": "Not Found"}', "none of the known shapes"),
    "a gateway's page": (b"<!DOCTYPE html><html><body>Sign in</body></html>", "not JSON"),
    "half an answer": (b'{"output": "It is on the tab', "not JSON"),
}
