/**
 * The built-in demo model: an endpoint of the Messages API that answers when no real model is set. To any prompt it
 * adds a line to `hello.md` with the Bash tool and reports; prompts in a tiny language steer it (tests and the doctor do):
 *
 *     demo: run COMMAND    one Bash tool call with this command, then a report of its output
 *     demo: say TEXT       exactly this text
 *     demo: fail STATUS    every call is answered with this HTTP status, 400 to 599
 */
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { parseSmall } from "@berth/shared/bounds/json-scan";
import { collect } from "@berth/shared/node/collect";
import { sleep } from "@berth/shared/wait";
import { countPrompts, readConversation } from "./demo-conversation.ts";
import type { Conversation, MessagesRequest } from "./demo-conversation.ts";
import { sendModelError } from "./error.ts";
import { messagesApi } from "./messages.ts";

/** The name it answers under; `prices.ts` knows that it costs nothing. */
export const demoModelName = "berth-demo";
export const demoNotice =
  "I am Berth's built-in demo model, not a real one. For a real one set ANTHROPIC_API_KEY or BERTH_MODEL_URL and start Berth again.";

type Block =
  | { type: "text"; text: string }
  | { type: "tool_use"; id: string; name: "Bash"; input: { command: string; description: string } };
type Reply = Block[] | { failStatus: number };

/** It answers on the loop that all share. */
const [maxBodyBytes, maxBodyValues] = [8 * 1024 * 1024, 50_000];

/** Serves `HEAD /`, `POST /v1/messages` (streamed or plain) and `…/count_tokens`. `wordMs`: the pause between words of a stream. */
export function createDemoModel({ wordMs = 15 }: { wordMs?: number } = {}): RequestListener {
  return (req, res) => {
    answer(req, res, wordMs).catch(() => res.destroy());
  };
}

/** What the model says next: decided from the conversation alone. */
export function replyTo(request: MessagesRequest): Reply {
  const conversation = readConversation(request.messages);
  const [, command, rest = ""] = /^demo:\s*(run|say|fail)\s+([^]+)$/.exec(conversation.prompt.trim()) ?? [];
  if (command === "say") return [{ type: "text", text: rest }];
  if (command === "fail" && /^[45]\d\d$/.test(rest)) return { failStatus: Number(rest) };
  if (!request.tools?.length) return [{ type: "text", text: "A conversation with Berth's demo model" }];
  if (!request.tools.some((tool) => tool.name === "Bash"))
    return [{ type: "text", text: `I have no Bash tool to use here. ${demoNotice}` }];
  if (command === "run") return runCommand(conversation, rest);
  return writeHello(conversation, countPrompts(request.messages));
}

function runCommand({ toolResult }: Conversation, command: string): Block[] {
  if (!toolResult) return [callBash(command, "Run the command of the prompt")];
  const what = toolResult.isError ? "The command failed" : "The command printed";
  return [{ type: "text", text: `${what}:\n\n${toolResult.text}\n\n${demoNotice}` }];
}

function writeHello({ prompt, toolResult }: Conversation, prompts: number): Block[] {
  if (!toolResult) {
    const line = `You wrote: ${prompt.trim().split("\n", 1)[0]?.slice(0, 80)}`.replaceAll("'", "'\\''");
    const intro = prompts > 1 ? `This is message ${prompts} of our conversation. ` : "";
    return [
      { type: "text", text: `${intro}I will add a line to hello.md, to show that I can use tools.` },
      callBash(`printf '%s\\n' '${line}' >> hello.md && cat hello.md`, "Add a line to hello.md"),
    ];
  }
  const seen = prompts === 1 ? "one message" : `${prompts} messages`;
  const done = toolResult.isError ? "I could not write hello.md" : "I wrote hello.md in my directory; it reads";
  return [{ type: "text", text: `${done}:\n\n${toolResult.text}\n\nI have seen ${seen} of yours. ${demoNotice}` }];
}

const callBash = (command: string, description: string): Block => ({
  type: "tool_use",
  id: `toolu_${crypto.randomUUID().replaceAll("-", "")}`,
  name: "Bash",
  input: { command, description },
});

async function answer(req: IncomingMessage, res: ServerResponse, wordMs: number): Promise<void> {
  const path = (req.url ?? "").split("?", 1)[0];
  if (req.method === "HEAD" && path === "/") return void res.writeHead(200).end();
  const isMessages = path === "/v1/messages";
  if (req.method !== "POST" || !(isMessages || path === "/v1/messages/count_tokens")) {
    req.resume();
    return sendModelError(res, messagesApi, 404, "The demo model answers Messages calls alone.");
  }
  const body = (await collect(req, maxBodyBytes))?.toString();
  const request = body && parseRequest(body);
  if (!request) return sendModelError(res, messagesApi, 400, "This is no Messages call.", { connection: "close" });
  const inputTokens = countTokens(body);
  if (!isMessages) return sendJson(res, { input_tokens: inputTokens });
  const reply = replyTo(request);
  if ("failStatus" in reply)
    return sendModelError(res, messagesApi, reply.failStatus, "The prompt asked for this error.");
  const usage = {
    input_tokens: inputTokens,
    output_tokens: countTokens(JSON.stringify(reply)),
    cache_read_input_tokens: 0,
    cache_creation_input_tokens: 0,
  };
  if (!request.stream)
    return sendJson(res, { ...messageHead(), content: reply, stop_reason: stopReason(reply), usage });
  res.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-cache" });
  await pipeline(Readable.from(streamReply(reply, usage, wordMs)), res);
}

type WireUsage = Record<
  "input_tokens" | "output_tokens" | "cache_read_input_tokens" | "cache_creation_input_tokens",
  number
>;

/** The events of a streamed answer, text in at most a hundred pieces with a pause before each. */
async function* streamReply(reply: Block[], usage: WireUsage, wordMs: number): AsyncGenerator<string> {
  yield event("message_start", {
    message: { ...messageHead(), content: [], stop_reason: null, usage: { ...usage, output_tokens: 1 } },
  });
  for (const [index, block] of reply.entries()) {
    const isText = block.type === "text";
    yield event("content_block_start", {
      index,
      content_block: isText ? { type: "text", text: "" } : { ...block, input: {} },
    });
    for (const piece of isText ? cutText(block.text) : [JSON.stringify(block.input)]) {
      await sleep(wordMs);
      yield event("content_block_delta", {
        index,
        delta: isText ? { type: "text_delta", text: piece } : { type: "input_json_delta", partial_json: piece },
      });
    }
    yield event("content_block_stop", { index });
  }
  yield event("message_delta", {
    delta: { stop_reason: stopReason(reply), stop_sequence: null },
    usage: { output_tokens: usage.output_tokens },
  });
  yield event("message_stop", {});
}

function cutText(text: string): string[] {
  const words = text.match(/\s*\S+\s*$|\s*\S+/g) ?? [text];
  const size = Math.ceil(words.length / 100);
  return Array.from({ length: Math.ceil(words.length / size) }, (_, i) =>
    words.slice(i * size, (i + 1) * size).join(""),
  );
}

const event = (type: string, data: object) => `event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`;
const stopReason = (reply: Block[]) => (reply.some((block) => block.type === "tool_use") ? "tool_use" : "end_turn");
const countTokens = (text: string) => Math.ceil(text.length / 4);
const messageHead = () => ({
  id: `msg_${crypto.randomUUID()}`,
  type: "message",
  role: "assistant",
  model: demoModelName,
  stop_sequence: null,
});

function sendJson(res: ServerResponse, value: object) {
  res.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(value));
}

function parseRequest(body: string): MessagesRequest | null {
  const value = parseSmall(body, maxBodyValues) as MessagesRequest | null | undefined;
  return Array.isArray(value?.messages) ? value : null;
}
