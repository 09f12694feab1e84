"""LangChain: a conversation of its own messages, invoked and streamed."""

import json
import os

from langchain_core.messages import HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI

chat = ChatOpenAI(
    model=os.environ["MODEL"], base_url=os.environ["APP"] + "/api/v1", api_key=os.environ["KEY"], max_retries=0, seed=7
)
QUESTIONS = (os.environ["QUESTION"], "And then?")
whole, streamed = [], []

messages = [SystemMessage("")]
for question in QUESTIONS:
    messages.append(HumanMessage(question))
    messages.append(chat.invoke(messages))
    whole.append(messages[-1].content)

messages = [SystemMessage("")]
for question in QUESTIONS:
    messages.append(HumanMessage(question))
    answer = None
    for piece in chat.stream(messages):
        answer = piece if answer is None else answer + piece
    messages.append(answer)
    streamed.append(answer.content)

print(json.dumps({"whole": whole, "streamed": streamed}))
