// The official npm client, which leaves after the first piece of a stream and prints it.
import OpenAI from "openai";

const { APP, KEY, MODEL, QUESTION } = process.env as Record<string, string>;
const client = new OpenAI({ baseURL: `${APP}/api/v1`, apiKey: KEY, maxRetries: 0 });
const messages = [{ role: "user" as const, content: QUESTION }];

for await (const chunk of await client.chat.completions.create({ model: MODEL, messages, stream: true })) {
  console.log(chunk.choices[0].delta.content);
  break;
}
