// The official npm client: the messages it was answered go back, whole and streamed.
import OpenAI from "openai";

const { APP, KEY, MODEL, QUESTION } = process.env as Record<string, string>;
const client = new OpenAI({ baseURL: `${APP}/api/v1`, apiKey: KEY, maxRetries: 0 });
const whole: (string | null)[] = [], streamed: (string | null)[] = [];

let messages: OpenAI.ChatCompletionMessageParam[] = [];
for (const content of [QUESTION, "And then?"]) {
  messages.push({ role: "user", content });
  const { message } = (await client.chat.completions.create({ model: MODEL, messages })).choices[0];
  messages.push(message);
  whole.push(message.content);
}

messages = [];
for (const content of [QUESTION, "And then?"]) {
  messages.push({ role: "user", content });
  const stream = client.chat.completions.stream({ model: MODEL, messages });
  const { message } = (await stream.finalChatCompletion()).choices[0];
  messages.push(message);
  streamed.push(message.content);
}
console.log(JSON.stringify({ whole, streamed }));
