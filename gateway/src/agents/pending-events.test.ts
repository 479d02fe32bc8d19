import type { Run } from "@berth/shared/resources";
import * as fc from "fast-check";
import { expect, test, vi } from "vitest";
import { makeRun } from "../../test/host.ts";
import { metered, streamPending } from "./pending-events.ts";

const run = (changes: Partial<Run>): Run => ({
  ...makeRun({ id: "run_1", userId: "usr_1", agentId: "agt_1", rev: 1 }),
  waitingFor: null,
  attachments: [],
  continues: null,
  prompt: "é\n\n🙂",
  ...changes,
});
const eventOf = (told: Run) => `event: run\ndata: ${JSON.stringify(told)}\n\n`;
const ended = run({
  status: "completed",
  reason: "completed",
  startedAt: "2026-01-01T00:00:01.000Z",
  endedAt: "2026-01-01T00:00:02.000Z",
});
const output = fc
  .array(fc.string({ unit: "binary" }), { maxLength: 4 })
  .map((all) =>
    all.map((text, at) => `id: ${at}\nevent: output\ndata: ${JSON.stringify({ type: "line", text })}\n\n`).join(""),
  );

test("the host's stream follows, without its first event where that tells the end, wherever its pieces end", async () => {
  const first = fc.constantFrom(run({ status: "running" }), ended);
  await fc.assert(
    fc.asyncProperty(first, output, fc.array(fc.nat(), { maxLength: 10 }), async (told, lines, picks) => {
      const bytes = new TextEncoder().encode(eventOf(told) + lines + eventOf(ended));
      const cuts = picks.map((pick) => pick % (bytes.length + 1)).toSorted((a, b) => a - b);
      const host = new ReadableStream<Uint8Array>({
        start(controller) {
          for (const [at, end] of [...cuts, bytes.length].entries())
            if (end > (cuts[at - 1] ?? 0)) controller.enqueue(bytes.subarray(cuts[at - 1] ?? 0, end));
          controller.close();
        },
      });
      const starting = run({ status: "starting" });
      const look = async () => starting.status;
      const source = { userId: "usr_1", look, load: async () => starting, openHost: async () => host };
      const body = streamPending(starting, source);
      const expected = eventOf(starting) + (told === ended ? "" : eventOf(told)) + lines + eventOf(ended);
      expect(await new Response(body).text()).toBe(new TextDecoder().decode(new TextEncoder().encode(expected)));
    }),
    { numRuns: 200 },
  );
});

test("a user has a hundred at once, whoever reads them; what ends, or is let go of, makes room", async () => {
  const waiting = run({ status: "pending", startedAt: null, endedAt: null });
  const over = run({ status: "cancelled", startedAt: null, endedAt: "2026-01-01T00:00:02.000Z" });
  const openOne = (userId: string, now = waiting) =>
    streamPending(waiting, {
      userId,
      look: async () => now.status,
      load: async () => now,
      openHost: () => Promise.reject(new Error("no host has it")),
    });
  const streams = Array.from({ length: 99 }, () => openOne("usr_many"));
  const ending = openOne("usr_many", over);
  const refused = { code: "rate_limited", fields: { limit: 100, retryAfter: 10 } };
  expect(() => openOne("usr_many")).toThrow(expect.objectContaining(refused));
  await openOne("usr_other").cancel();
  expect(await new Response(ending).text()).toBe(eventOf(waiting) + eventOf(over));
  streams.push(openOne("usr_many"));
  expect(() => openOne("usr_many")).toThrow(expect.objectContaining(refused));
  await streams.pop()!.cancel();
  streams.push(openOne("usr_many"));
  for (const stream of streams) await stream.cancel();

  vi.useFakeTimers({ toFake: ["performance"] });
  try {
    const unread = Array.from({ length: 100 }, () => openOne("usr_many"));
    vi.advanceTimersByTime(31_000);
    const next = openOne("usr_many");
    expect(await new Response(unread[0]).text(), "it ends, and is not one too many").toBe(eventOf(waiting));
    await next.cancel();
  } finally {
    vi.useRealTimers();
  }
});

test("where each look is one of few, it looks seldom, and ends before they are used up", async () => {
  const waiting = run({ status: "pending", startedAt: null, endedAt: null });
  vi.useFakeTimers();
  try {
    let looks = 0;
    const look = async () => (looks++, waiting.status);
    const openHost = () => Promise.reject(new Error("no host has it"));
    const source = { userId: "usr_few", look, load: async () => waiting, openHost, pace: metered };
    const told = new Response(streamPending(waiting, source)).text();
    await vi.advanceTimersByTimeAsync(300_000);
    expect(await told).toBe(eventOf(waiting) + ": still here\n\n".repeat(19));
    expect(looks).toBe(100);
  } finally {
    vi.useRealTimers();
  }
});

test("a host whose first event does not end is read no further than any run is long", async () => {
  const starting = run({ status: "starting" });
  const piece = new Uint8Array(65_536).fill(97);
  const most = 2 ** 26;
  let sent = 0;
  const host = new ReadableStream<Uint8Array>({
    pull(controller) {
      sent += piece.length;
      if (sent <= most) controller.enqueue(piece);
      else controller.close();
    },
  });
  const look = async () => starting.status;
  const source = { userId: "usr_1", look, load: async () => starting, openHost: async () => host };
  expect(await new Response(streamPending(starting, source)).text()).toBe(eventOf(starting));
  expect(sent).toBeLessThan(most / 2);
});
