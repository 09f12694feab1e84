"""LiteLLM: its message objects, dumped with all their fields, go back."""

import json
import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm

GIVEN = {
    "model": "openai/" + os.environ["MODEL"],
    "api_base": os.environ["APP"] + "/api/v1",
    "api_key": os.environ["KEY"],
    "num_retries": 0,
    "max_retries": 0,
}
QUESTIONS = (os.environ["QUESTION"], "And then?")
whole, streamed = [], []

messages = []
for question in QUESTIONS:
    messages.append({"role": "user", "content": question})
    message = litellm.completion(messages=messages, **GIVEN).choices[0].message
    messages.append(message.model_dump())
    whole.append(message.content)

messages = []
for question in QUESTIONS:
    messages.append({"role": "user", "content": question})
    chunks = list(litellm.completion(messages=messages, stream=True, **GIVEN))
    message = litellm.stream_chunk_builder(chunks, messages=messages).choices[0].message
    messages.append(message.model_dump())
    streamed.append(message.content)

print(json.dumps({"whole": whole, "streamed": streamed}))
