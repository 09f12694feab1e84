// The official npm client: models, a whole answer, a stream, and its own error classes. Prints what it found as JSON.
import OpenAI from "openai";

const { APP, KEY, MODEL, QUESTION } = process.env as Record<string, string>;
const baseURL = `${APP}/api/v1`;
const client = new OpenAI({ baseURL, apiKey: KEY, maxRetries: 0 });
const messages = [{ role: "user" as const, content: QUESTION }];

const models: string[] = [];
for await (const model of client.models.list()) models.push(model.id);

const answer = await client.chat.completions.create({ model: MODEL, messages });

const pieces: string[] = [];
for await (const chunk of await client.chat.completions.create({ model: MODEL, messages, stream: true })) {
  if (chunk.choices[0]?.delta.content) pieces.push(chunk.choices[0].delta.content);
}

async function refused(asking: Promise<unknown>): Promise<unknown> {
  try {
    return await asking;
  } catch (error) {
    return error instanceof OpenAI.APIError ? [error.constructor.name, error.status] : String(error);
  }
}

const stranger = new OpenAI({ baseURL, apiKey: "nobody knows this key", maxRetries: 0 });
const errors = {
  key: await refused(stranger.chat.completions.create({ model: MODEL, messages })),
  model: await refused(client.chat.completions.create({ model: "nobody", messages })),
  n: await refused(client.chat.completions.create({ model: MODEL, messages, n: 2 })),
  turns: await refused(client.chat.completions.create({ model: MODEL, messages: Array(1001).fill(messages[0]) })),
};

console.log(JSON.stringify({ models, whole: answer.choices[0].message.content, pieces, errors }));
