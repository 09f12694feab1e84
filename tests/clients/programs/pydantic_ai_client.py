"""pydantic-ai: an agent with instructions and a system prompt, whose history goes on."""

import asyncio
import json
import os

from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

provider = OpenAIProvider(base_url=os.environ["APP"] + "/api/v1", api_key=os.environ["KEY"])
agent = Agent(OpenAIChatModel(os.environ["MODEL"], provider=provider))
QUESTIONS = (os.environ["QUESTION"], "And then?")
strict = Agent(
    OpenAIChatModel(os.environ["MODEL"], provider=provider), instructions="Be kind.", system_prompt="Be brief."
)


async def main() -> None:
    whole, streamed = [], []
    history = None
    for question in QUESTIONS:
        result = await agent.run(question, message_history=history)
        history = result.all_messages()
        whole.append(result.output)
    history = None
    for question in QUESTIONS:
        async with agent.run_stream(question, message_history=history) as result:
            streamed.append(await result.get_output())
        history = result.all_messages()
    told = await strict.run(QUESTIONS[0])
    assert told.output, "two system turns are one"
    print(json.dumps({"whole": whole, "streamed": streamed}))


asyncio.run(main())
