"""AutoGen: an assistant, which names every turn and keeps its context, run and streamed."""

import asyncio
import json
import os

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.base import Response
from autogen_agentchat.messages import TextMessage
from autogen_core import CancellationToken
from autogen_core.models import ModelFamily
from autogen_ext.models.openai import OpenAIChatCompletionClient

QUESTIONS = (os.environ["QUESTION"], "And then?")
INFO = {
    "family": ModelFamily.UNKNOWN,
    "vision": False,
    "function_calling": False,
    "json_output": False,
    "structured_output": False,
}


def agent(name: str, **more: bool) -> AssistantAgent:
    client = OpenAIChatCompletionClient(
        model=os.environ["MODEL"],
        base_url=os.environ["APP"] + "/api/v1",
        api_key=os.environ["KEY"],
        model_info=INFO,
        max_retries=0,
    )
    return AssistantAgent(name, client, system_message=None, **more)


async def main() -> None:
    whole, streamed = [], []
    asked, listened = agent("asked"), agent("listened", model_client_stream=True)
    for question in QUESTIONS:
        message = TextMessage(content=question, source="user")
        answer = await asked.on_messages([message], CancellationToken())
        whole.append(answer.chat_message.content)
        async for event in listened.on_messages_stream([message], CancellationToken()):
            if isinstance(event, Response):
                streamed.append(event.chat_message.content)
    print(json.dumps({"whole": whole, "streamed": streamed}))


asyncio.run(main())
