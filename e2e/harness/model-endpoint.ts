/**
 * A model endpoint that does what a test says: the demo model's replies unless told otherwise, under any model's name,
 * with any usage, any status, or a stream that is cut. It keeps what it was asked and what it charged.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { readConversation, type MessagesRequest } from "../../host-agent/src/model/demo-conversation.ts";
import { replyTo } from "../../host-agent/src/model/demo.ts";

type Block = Exclude<ReturnType<typeof replyTo>, { failStatus: number }>[number];
/** As of the demo model, but for any tool. */
type ScriptedBlock = Extract<Block, { type: "text" }> | { type: "tool_use"; id: string; name: string; input: object };
export interface Tokens {
  input_tokens: number;
  output_tokens: number;
  cache_read_input_tokens: number;
  cache_creation_input_tokens: number;
}
/** One Messages call as it came. */
export interface ModelCall {
  /** What was shown as a key. */
  key: string | undefined;
  prompt: string;
  stream: boolean;
  /** How many calls with this prompt came before. */
  nth: number;
  messages: number;
  model: string;
  /** All that the model is told, as JSON. */
  told: string;
}
/** What to answer: an error's status, or a reply; `cut` ends the connection in the middle of a stream, `hold` halts it there. */
export type Scripted =
  | { status: number; headers?: Record<string, string>; message?: string }
  | { model?: string; tokens?: Partial<Tokens>; cut?: boolean; hold?: Promise<void>; blocks?: ScriptedBlock[] };
export type ModelEndpoint = Awaited<ReturnType<typeof startModel>>;

/** Starts it on loopback; `script` may answer null for the demo model's reply. */
export async function startModel(script: (call: ModelCall) => Scripted | null = () => null) {
  const calls: ModelCall[] = [];
  const charged: (Tokens & { prompt: string })[] = [];
  const others: string[] = [];
  const server = createServer((req, res) => void answer(req, res).catch(() => res.destroy()));

  async function answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of req as AsyncIterable<Buffer>) chunks.push(chunk);
    if (req.method !== "POST" || !/^\/v1\/messages(\?|$)/.test(req.url ?? "")) {
      others.push(`${req.method} ${req.url}`);
      return void res.writeHead(200).end("{}");
    }
    const request = JSON.parse(Buffer.concat(chunks).toString()) as MessagesRequest & {
      model: string;
      system?: unknown;
    };
    const { prompt } = readConversation(request.messages);
    const nth = calls.filter((other) => other.prompt === prompt).length;
    const key = req.headers["x-api-key"] as string | undefined;
    const { messages, stream, system } = request;
    const call = {
      key,
      prompt,
      stream: stream === true,
      nth,
      messages: messages.length,
      model: request.model,
      told: JSON.stringify([system ?? null, messages]),
    };
    calls.push(call);
    const scripted = script(call) ?? {};
    if ("status" in scripted) {
      const body = { type: "error", error: { type: "api_error", message: scripted.message ?? "scripted" } };
      res.writeHead(scripted.status, { "content-type": "application/json", ...scripted.headers });
      return void res.end(JSON.stringify(body));
    }
    const { model = "claude-sonnet-5", tokens = {}, cut = false, hold, blocks = blocksFor(request) } = scripted;
    const usage = {
      input_tokens: 10,
      output_tokens: 20,
      cache_read_input_tokens: 0,
      cache_creation_input_tokens: 0,
      ...tokens,
    };
    charged.push({ ...usage, ...(cut && { output_tokens: 1 }), prompt });
    if (!call.stream) return sendWhole(res, model, blocks, usage);
    res.writeHead(200, { "content-type": "text/event-stream" });
    for (const event of eventsOf(model, blocks, usage)) {
      if (cut && event.type === "content_block_stop") return void setTimeout(() => res.destroy(), 50);
      if (event.type === "content_block_stop") await hold;
      res.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
    }
    res.end();
  }

  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls,
    /** Requests that are no Messages calls, as "METHOD path". */
    others,
    charged,
    callsOf: (prompt: string) => calls.filter((call) => call.prompt === prompt),
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function blocksFor(request: MessagesRequest): Block[] {
  const reply = replyTo(request);
  return "failStatus" in reply ? [{ type: "text", text: "The script decides what fails here." }] : reply;
}

const stopReason = (blocks: ScriptedBlock[]) =>
  blocks.some(({ type }) => type === "tool_use") ? "tool_use" : "end_turn";
const head = (model: string) => ({ id: `msg_${crypto.randomUUID()}`, type: "message", role: "assistant", model });

function sendWhole(res: ServerResponse, model: string, content: ScriptedBlock[], usage: Tokens): void {
  res.writeHead(200, { "content-type": "application/json" });
  res.end(JSON.stringify({ ...head(model), content, stop_reason: stopReason(content), stop_sequence: null, usage }));
}

/** The events of a streamed answer; the first tells one output token, the last all of them. */
function eventsOf(
  model: string,
  blocks: ScriptedBlock[],
  usage: Tokens,
): ({ type: string } & Record<string, unknown>)[] {
  const message = { ...head(model), content: [], stop_reason: null, usage: { ...usage, output_tokens: 1 } };
  const parts = blocks.flatMap((block, index) => {
    const isText = block.type === "text";
    const start = isText ? { type: "text", text: "" } : { ...block, input: {} };
    const delta = isText
      ? { type: "text_delta", text: block.text }
      : { type: "input_json_delta", partial_json: JSON.stringify(block.input) };
    return [
      { type: "content_block_start", index, content_block: start },
      { type: "content_block_delta", index, delta },
      { type: "content_block_stop", index },
    ];
  });
  const end = { delta: { stop_reason: stopReason(blocks), stop_sequence: null } };
  return [
    { type: "message_start", message },
    ...parts,
    { type: "message_delta", ...end, usage: { output_tokens: usage.output_tokens } },
    { type: "message_stop" },
  ];
}
