"""The official client (newest, and 1.x): the loop of its own guide, which keeps the messages it was answered."""

import json
import os

from openai import OpenAI

client = OpenAI(base_url=os.environ["APP"] + "/api/v1", api_key=os.environ["KEY"], max_retries=0)
MODEL, QUESTIONS = os.environ["MODEL"], (os.environ["QUESTION"], "And then?")
whole, streamed = [], []

messages = []
for question in QUESTIONS:
    messages.append({"role": "user", "content": question})
    message = client.chat.completions.create(model=MODEL, messages=messages).choices[0].message
    messages.append(message)
    whole.append(message.content)

messages = []
for question in QUESTIONS:
    messages.append({"role": "user", "content": question})
    text = ""
    options = {"include_usage": True}
    for chunk in client.chat.completions.create(model=MODEL, messages=messages, stream=True, stream_options=options):
        if chunk.choices:
            text += chunk.choices[0].delta.content or ""
    messages.append({"role": "assistant", "content": text})
    streamed.append(text)

print(json.dumps({"whole": whole, "streamed": streamed}))
