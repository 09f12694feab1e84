"""The OpenAI Agents SDK, set to chat completions: the input list of a run is the next one's beginning."""

import asyncio
import json
import os

from agents import Agent, OpenAIChatCompletionsModel, Runner, set_tracing_disabled
from openai import AsyncOpenAI

set_tracing_disabled(True)
client = AsyncOpenAI(base_url=os.environ["APP"] + "/api/v1", api_key=os.environ["KEY"], max_retries=0)
agent = Agent(name="asked", model=OpenAIChatCompletionsModel(model=os.environ["MODEL"], openai_client=client))
QUESTIONS = (os.environ["QUESTION"], "And then?")


async def main() -> None:
    whole, streamed = [], []
    history = []
    for question in QUESTIONS:
        result = await Runner.run(agent, [*history, {"role": "user", "content": question}])
        history = result.to_input_list()
        whole.append(result.final_output)
    history = []
    for question in QUESTIONS:
        result = Runner.run_streamed(agent, [*history, {"role": "user", "content": question}])
        async for _ in result.stream_events():
            pass
        history = result.to_input_list()
        streamed.append(result.final_output)
    print(json.dumps({"whole": whole, "streamed": streamed}))


asyncio.run(main())
