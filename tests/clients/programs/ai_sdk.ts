// The AI SDK with its provider for compatible services: the messages of a response are kept, whole and streamed.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, streamText, type ModelMessage } from "ai";

const { APP, KEY, MODEL, QUESTION } = process.env as Record<string, string>;
const model = createOpenAICompatible({ name: "droptune", baseURL: `${APP}/api/v1`, apiKey: KEY })(MODEL);
const whole: string[] = [], streamed: string[] = [];

let messages: ModelMessage[] = [];
for (const content of [QUESTION, "And then?"]) {
  messages.push({ role: "user", content });
  const answer = await generateText({ model, messages, maxRetries: 0 });
  messages.push(...answer.response.messages);
  whole.push(answer.text);
}

messages = [];
for (const content of [QUESTION, "And then?"]) {
  messages.push({ role: "user", content });
  const answer = streamText({ model, messages, maxRetries: 0 });
  let text = "";
  for await (const piece of answer.textStream) text += piece;
  messages.push(...(await answer.response).messages);
  streamed.push(text);
}
console.log(JSON.stringify({ whole, streamed }));
