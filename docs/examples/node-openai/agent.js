// The same agent, stateless, busy-aware and safe to retry: with the two files of `patterns/`.
import { promisify } from "node:util";
import express from "express";
import OpenAI, { APIConnectionError, APIError, APIUserAbortError } from "openai";
import { BusySignal } from "./patterns/busy_signal.js";
import { callWithRetry, retryAfterS } from "./patterns/retry.js";
import { Sessions } from "./sessions.js";

const model = process.env.OPENAI_MODEL ?? "gpt-4.1-mini";
const system = { role: "system", content: "You are a helpful assistant." };
const mostCalls = 10;
const quotaUsedUp = new Set(["insufficient_quota", "credit_balance_exhausted"]);
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

const client = new OpenAI({ maxRetries: 0 }); // its own two retries would multiply with ours
const sessions = new Sessions(process.env.SESSIONS);
const busy = new BusySignal(Number(process.env.CONCURRENCY_LIMIT ?? 4));
const readBody = promisify(express.json());
const app = express();

app.get("/ping", (req, res) => res.json({ status: busy.status, time_of_last_update: busy.changedAt }));

app.post("/api/chat", async (req, res) => {
  const slot = busy.tryAcquire(); // before anything of the body is read
  if (!slot) return res.status(503).set({ "retry-after": "1", "x-agent-busy": "1" }).end();
  const gone = new AbortController();
  res.once("close", () => gone.abort()); // nobody waits any more: the model's work ends as well
  try {
    await readBody(req, res);
    const { message, conversationId } = req.body ?? {};
    if (typeof message !== "string") return res.status(400).json({ error: "message: a text is needed" });
    res.json({ reply: await reply(message, conversationId, gone.signal) });
  } catch (error) {
    if (error.type?.startsWith("entity.")) return res.status(error.status).json({ error: error.message }); // no JSON, or too large
    console.error(error);
    const failure = classify(error);
    if (failure.transient) res.set("retry-after", String(Math.ceil(failure.retryAfterS ?? 1)));
    res.status(failure.transient ? 503 : 502).json({ error: error.constructor.name });
  } finally {
    slot.release();
  }
});

// Answers with what the session's store holds, and adds the whole turn to it at the end.
async function reply(message, session, signal) {
  const history = await sessions.load(session);
  const turn = [{ role: "user", content: message }];
  for (let calls = 0; calls < mostCalls; calls++) {
    const answer = await ask([system, ...history, ...turn], signal);
    turn.push(answer);
    if (!answer.tool_calls) {
      await sessions.add(session, turn);
      return answer.content;
    }
    for (const call of answer.tool_calls) {
      const content = search(JSON.parse(call.function.arguments));
      turn.push({ role: "tool", tool_call_id: call.id, content });
    }
  }
  throw new Error(`no answer after ${mostCalls} calls of the model`);
}

// Calls the model, again when that can help.
async function ask(messages, signal) {
  const call = () => client.chat.completions.create({ model, messages, tools }, { signal });
  const completion = await callWithRetry(call, classify, { maxAttempts: 3, signal });
  return completion.choices[0].message;
}

// Says whether a retry can help.
function classify(error) {
  if (error instanceof APIUserAbortError) return { transient: false };
  if (error instanceof APIConnectionError) return { transient: true };
  if (error instanceof APIError) {
    const transient = [408, 409, 429].includes(error.status) || error.status >= 500;
    return { transient: transient && !quotaUsedUp.has(error.code), retryAfterS: retryAfterS(error.headers) };
  }
  return { transient: error instanceof TypeError && error.message === "terminated" }; // fetch: cut in the body
}

const port = process.env.PORT ?? 8080;
app.listen(port, () => console.log(`listening on ${port}`));
