"""The command-line tool `llm`, as a library: conversations of its own, whole and streamed."""

import json
import os

from llm.default_plugins.openai_models import Chat

QUESTIONS = (os.environ["QUESTION"], "And then?")
model = Chat(os.environ["MODEL"], api_base=os.environ["APP"] + "/api/v1")
model.key = os.environ["KEY"]


def conversation(stream: bool) -> list[str]:
    kept = model.conversation()
    return [kept.prompt(question, stream=stream).text() for question in QUESTIONS]


print(json.dumps({"whole": conversation(False), "streamed": conversation(True)}))
