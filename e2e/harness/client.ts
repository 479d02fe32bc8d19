/** A program that uses Berth's API, as any user's would: HTTP with a bearer token, SSE, the socket. */
import { WebSocket } from "ws";
import type { Agent, Run, ServerFrame, Workspace } from "@berth/shared/resources";

export interface Answer<T = Record<string, unknown>> {
  status: number;
  headers: Headers;
  body: T;
}
export interface SseEvent {
  event: string;
  id: string | null;
  data: string;
}
export type Client = ReturnType<typeof connectClient>;

const isSentAsItIs = (body: unknown): body is string | Buffer<ArrayBuffer> | undefined =>
  body === undefined || typeof body === "string" || body instanceof Buffer;

/** A client of the Berth at `url`. */
export function connectClient(url: string, token: string) {
  const authorization = `Bearer ${token}`;
  async function call<T = Record<string, unknown>>(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Answer<T>> {
    const answer = await fetch(`${url}${path}`, {
      method,
      headers: { authorization, ...(body !== undefined && { "content-type": "application/json" }), ...headers },
      body: isSentAsItIs(body) ? body : JSON.stringify(body),
    });
    const text = await answer.text();
    return {
      status: answer.status,
      headers: answer.headers,
      body: (text.startsWith("{") ? JSON.parse(text) : text) as T,
    };
  }
  async function ok<T>(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<T> {
    const answer = await call<T>(method, path, body, headers);
    if (answer.status >= 300)
      throw new Error(`${method} ${path} answered ${answer.status}: ${JSON.stringify(answer.body)}`);
    return answer.body;
  }
  /** The events of a run, once, from `after` on, until the stream ends. */
  async function* events(runId: string, after = 0, signal?: AbortSignal): AsyncGenerator<SseEvent> {
    const answer = await fetch(`${url}/v1/runs/${runId}/events?after=${after}`, {
      headers: { authorization },
      signal: signal ?? null,
    });
    if (!answer.ok) throw new Error(`events answered ${answer.status}: ${await answer.text()}`);
    let rest = "";
    for await (const chunk of answer.body!.pipeThrough(new TextDecoderStream())) {
      const blocks = (rest + chunk).split("\n\n");
      rest = blocks.pop()!;
      for (const block of blocks) {
        const event = parseEvent(block);
        if (event) yield event;
      }
    }
  }
  /** Reads a run to its end like a patient client: reconnects where it stopped, whatever breaks. */
  async function* followRun(runId: string, after = 0): AsyncGenerator<SseEvent> {
    for (let at = after, isFirst = true; ; isFirst = true) {
      try {
        for await (const event of events(runId, at)) {
          if (event.id !== null) at = Number(event.id);
          yield event;
          if (event.event === "run" && !isFirst && (JSON.parse(event.data) as Run).endedAt) return;
          isFirst = false;
        }
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
  }

  return {
    url,
    token,
    call,
    ok,
    events,
    followRun,
    createAgent: (name: string, more: object = {}) => ok<Agent>("POST", "/v1/agents", { name, ...more }),
    send: (agentId: string, prompt: string, key?: string) =>
      ok<Run>("POST", `/v1/agents/${agentId}/runs`, { prompt }, key ? { "idempotency-key": key } : {}),
    /** The first line of the run's output that fits, once it is there. */
    async untilOutput(runId: string, fits: (data: string) => unknown): Promise<SseEvent> {
      for await (const event of followRun(runId)) if (event.event === "output" && fits(event.data)) return event;
      throw new Error(`run ${runId} ended without the line that was waited for`);
    },
    /** Resolves when the run has printed a line. */
    firstLine(runId: string): Promise<SseEvent> {
      return this.untilOutput(runId, () => true);
    },
    run: (runId: string) => ok<Run>("GET", `/v1/runs/${runId}`),
    workspace: () => ok<Workspace>("GET", "/v1/workspace"),
    /** The run's lines and its final state. */
    async finish(runId: string): Promise<{ lines: string[]; run: Run }> {
      const lines: string[] = [];
      let run: Run | null = null;
      for await (const event of followRun(runId)) {
        if (event.event === "output") lines.push(event.data);
        else run = JSON.parse(event.data) as Run;
      }
      return { lines, run: run! };
    },
    /** Sends a prompt and waits for its end. */
    async runToEnd(agentId: string, prompt: string): Promise<{ lines: string[]; run: Run }> {
      return this.finish((await this.send(agentId, prompt)).id);
    },
    async connect(headers: Record<string, string> = {}): Promise<Socket> {
      const ws = new WebSocket(`${url.replace("http", "ws")}/v1/connect`, ["berth.v1"], {
        headers: { authorization, ...headers },
      });
      return openSocket(ws);
    },
  };
}

export interface Socket {
  ws: WebSocket;
  frames: ServerFrame[];
  closed: Promise<number>;
  close(): Promise<number>;
}

/** Gathers the frames of a socket; rejects if it does not open. */
export async function openSocket(ws: WebSocket): Promise<Socket> {
  const frames: ServerFrame[] = [];
  const closed = new Promise<number>((resolve) => ws.on("close", (code) => resolve(code)));
  ws.on("message", (data) => frames.push(JSON.parse((data as Buffer).toString()) as ServerFrame));
  await new Promise<void>((resolve, reject) => ws.once("open", () => resolve()).once("error", reject));
  return {
    ws,
    frames,
    closed,
    close() {
      ws.close();
      return closed;
    },
  };
}

/** The text of `{"type":"line"}` events. */
export const textOf = (data: string) => (JSON.parse(data) as { text: string }).text;

function parseEvent(block: string): SseEvent | null {
  const fields = new Map(
    block.split("\n").map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2)]),
  );
  const event = fields.get("event");
  return event === undefined ? null : { event, id: fields.get("id") ?? null, data: fields.get("data") ?? "" };
}
