"""LlamaIndex: messages in, the answer's message kept, whole and streamed."""

import json
import os

from llama_index.core.llms import ChatMessage
from llama_index.llms.openai_like import OpenAILike

llm = OpenAILike(
    model=os.environ["MODEL"],
    api_base=os.environ["APP"] + "/api/v1",
    api_key=os.environ["KEY"],
    is_chat_model=True,
    max_retries=0,
)
QUESTIONS = (os.environ["QUESTION"], "And then?")
whole, streamed = [], []

messages = []
for question in QUESTIONS:
    messages.append(ChatMessage(role="user", content=question))
    messages.append(llm.chat(messages).message)
    whole.append(messages[-1].content)

messages = []
for question in QUESTIONS:
    messages.append(ChatMessage(role="user", content=question))
    *_, last = llm.stream_chat(messages)
    messages.append(last.message)
    streamed.append(last.message.content)

print(json.dumps({"whole": whole, "streamed": streamed}))
