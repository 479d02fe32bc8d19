/** One real run through the public API, as any client would do it: an agent, a message, its events to the end, and the agent deleted again. */
import { setTimeout as sleep } from "node:timers/promises";

const prompt = "Create a file hello.md with one friendly line in it, then say what you did.";
const deadlineMs = 120_000;

interface Run {
  id: string;
  status: string;
  reason: string | null;
  stderrTail: string | null;
}

/** Throws an error whose message is one sentence when anything on the way is not as it should be. */
export async function tryRun(url: string, token: string): Promise<void> {
  const call = createCaller(url, token);
  const agent = (await call("POST", "/v1/agents", { name: `doctor-${Date.now()}` })) as { id: string };
  try {
    const run = (await call("POST", `/v1/agents/${agent.id}/runs`, { prompt })) as Run;
    const { status, reason, stderrTail } = await followToEnd(url, token, run.id);
    if (status !== "completed") throw new Error(explain(reason, stderrTail));
  } finally {
    await call("DELETE", `/v1/agents/${agent.id}`);
  }
}

function createCaller(url: string, token: string) {
  return async (method: string, path: string, body?: object): Promise<unknown> => {
    const answer = await fetch(url + path, {
      method,
      headers: { authorization: `Bearer ${token}`, ...(body && { "content-type": "application/json" }) },
      ...(body && { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(deadlineMs),
    });
    const text = await answer.text();
    const content = (text ? JSON.parse(text) : null) as { code?: string; detail?: string } | null;
    if (!answer.ok) throw new Error(`${method} ${path} answers ${answer.status} ${content?.code}: ${content?.detail}`);
    return content;
  };
}

/** Reads the run's events until the stream ends after a final `run` event; a lost connection is made again. */
async function followToEnd(url: string, token: string, runId: string): Promise<Run> {
  const deadline = AbortSignal.timeout(deadlineMs);
  for (;;) {
    const last = await readEvents(url, token, runId, deadline).catch((error: unknown) => {
      if (deadline.aborted) throw new Error(`The run did not end within ${deadlineMs / 1000} s.`, { cause: error });
      return null;
    });
    if (last && ["completed", "failed", "cancelled"].includes(last.status)) return last;
    await sleep(500, undefined, { signal: deadline });
  }
}

async function readEvents(url: string, token: string, runId: string, signal: AbortSignal): Promise<Run | null> {
  const answer = await fetch(`${url}/v1/runs/${runId}/events`, {
    headers: { authorization: `Bearer ${token}` },
    signal,
  });
  if (!answer.body || !answer.ok) throw new Error(`the events of the run answer ${answer.status}`);
  let last: Run | null = null;
  let rest = "";
  for await (const part of answer.body.pipeThrough(new TextDecoderStream())) {
    const blocks = (rest + part).split("\n\n");
    rest = blocks.pop() ?? "";
    for (const block of blocks)
      if (/^event: run$/m.test(block)) last = JSON.parse(/^data: (.*)$/m.exec(block)![1]!) as Run;
  }
  return last;
}

function explain(reason: string | null, stderrTail: string | null): string {
  const sentences: Record<string, string> = {
    model_auth: "The model refuses the key: check ANTHROPIC_API_KEY.",
    model_rate_limited: "The model answers that there are too many calls: try again later.",
    start_timeout: "The CLI got no answer from the model: check BERTH_MODEL_URL and this machine's network.",
    disk_full: "The workspace's disk is full: raise BERTH_DISK_BYTES, or free the disk of this machine.",
    out_of_memory: "The run took more memory than BERTH_MEMORY_BYTES allows.",
    budget_reached: "The run's budget is too small: raise BERTH_RUN_BUDGET_USD or BERTH_DAILY_BUDGET_USD.",
  };
  return `${sentences[reason ?? ""] ?? `The run failed: ${reason}.`} ${stderrTail ?? ""}`.trim();
}
