// A chat agent on Express and the `openai` client, as most tutorials write one.
import express from "express";
import OpenAI from "openai";

const model = process.env.OPENAI_MODEL ?? "gpt-4.1-mini";
const tools = [
  {
    type: "function",
    function: {
      name: "search",
      description: "Search the handbook.",
      parameters: { type: "object", properties: { query: { type: "string" } }, required: ["query"] },
    },
  },
];
const search = ({ query }) => `The handbook says nothing about ${query}.`;

const client = new OpenAI();
const conversations = new Map();
const app = express();
app.use(express.json());

app.get("/health", (req, res) => res.json({ status: "ok" }));

app.post("/api/chat", async (req, res) => {
  const { message, conversationId = "default" } = req.body;
  const messages = conversations.get(conversationId) ?? [{ role: "system", content: "You are a helpful assistant." }];
  conversations.set(conversationId, messages);
  messages.push({ role: "user", content: message });
  try {
    for (;;) {
      const completion = await client.chat.completions.create({ model, messages, tools });
      const answer = completion.choices[0].message;
      messages.push(answer);
      if (!answer.tool_calls) return res.json({ reply: answer.content });
      for (const call of answer.tool_calls) {
        const content = search(JSON.parse(call.function.arguments));
        messages.push({ role: "tool", tool_call_id: call.id, content });
      }
    }
  } catch (error) {
    console.error(error);
    res.status(500).json({ error: error.message });
  }
});

const port = process.env.PORT ?? 3000;
app.listen(port, () => console.log(`listening on ${port}`));
