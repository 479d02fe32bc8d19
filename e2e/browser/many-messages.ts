/** A conversation that is longer than any browser would draw whole. */
import Database from "better-sqlite3";
import { join } from "node:path";
import type { Page } from "playwright-core";
import type { Agent, Run } from "@berth/shared/resources";
import type { Client } from "../harness/client.ts";
import type { Berth } from "../harness/harness.ts";

/** An agent with so many messages, `message 0` first, as the gateway would have them; the newest is a real one. */
export async function fillConversation(
  berth: Berth,
  client: Client,
  count: number,
  { runtime, newest }: { runtime: Agent["runtime"]; newest: string } = { runtime: "shell", newest: "echo the newest" },
): Promise<Agent> {
  const agent = await client.createAgent(`long ${count}`, { runtime });
  const { run } = await client.runToEnd(agent.id, newest);
  const db = new Database(join(berth.dir, "gateway.sqlite"));
  const insert = db.prepare(
    `INSERT INTO runs (id, user_id, agent_id, host_id, epoch, rev, status, created_at, data, prompt)
     SELECT @id, user_id, agent_id, host_id, epoch, rev, status, @at,
       json_set(data, '$.id', @id, '$.createdAt', @at, '$.result', @result), @prompt FROM runs WHERE id = @from`,
  );
  db.transaction(() => {
    for (let nth = 0; nth < count; nth++) insert.run({ from: run.id, ...messageOf(run, nth, count) });
  })();
  db.close();
  return agent;
}

function messageOf(run: Run, nth: number, count: number) {
  const id = run.id.slice(0, -6) + nth.toString(16).padStart(6, "0");
  const at = new Date(Date.parse(run.createdAt) - (count - nth) * 60_000).toISOString();
  return { id, at, prompt: `message ${nth}`, result: "a line of it\n".repeat(1 + (nth % 23)) };
}

/** Opens it with all messages loaded in the page. */
export async function openWhole(page: Page, agent: Agent): Promise<void> {
  await page.route(/\/v1\/runs\?limit=50&agentId/, (route) =>
    route.continue({ url: route.request().url().replace("limit=50", "limit=200") }),
  );
  await page.goto(`/agents/${agent.id}`);
  await page.locator(".earlier button").waitFor();
  await page.evaluate(async () => {
    for (;;) {
      const earlier = document.querySelector<HTMLButtonElement>(".earlier button");
      if (!earlier) return;
      if (!earlier.disabled) earlier.click();
      await new Promise(requestAnimationFrame);
    }
  });
}

export interface Scrolled {
  /** Milliseconds between frames. */
  gaps: number[];
  /** By how many pixels what stood at the upper edge moved otherwise than by the step, where it did. */
  jumps: number[];
}

/** Scrolls this box up by so many pixels every other frame, from where it stands, and looks at each frame as it was painted. */
export function scrollUp(page: Page, selector: string, step: number, frames: number): Promise<Scrolled> {
  return page.locator(selector).evaluate(
    async (box, { step, frames }) => {
      const painted = (element: Element) =>
        new Promise<number>((resolve) => {
          const observer = new IntersectionObserver(([entry]) => {
            observer.disconnect();
            resolve(entry!.boundingClientRect.top);
          });
          observer.observe(element);
        });
      /** What of a message stands there: where nothing does, between two, what comes below. */
      const atEdge = () => {
        const { left, top } = box.getBoundingClientRect();
        const below = [20, 35, 50, 65, 80].map((y) => document.elementFromPoint(left + box.clientWidth / 2, top + y));
        return below.find((element) => element?.closest(".run") && !element.matches(".run, .transcript"))!;
      };
      const [gaps, jumps]: number[][] = [[], []];
      let last = performance.now();
      for (let at = 0; at < frames; at++) {
        if (step > 0 && box.scrollTop <= step) break;
        const read = atEdge();
        const before = await painted(read);
        box.scrollTop -= step;
        const moved = (await painted(read)) - before - step;
        if (step !== 0 && read.isConnected && Math.abs(moved) > 2) jumps!.push(Math.round(moved));
        const now = performance.now();
        gaps!.push((now - last) / 2);
        last = now;
      }
      return { gaps: gaps!, jumps: jumps! };
    },
    { step, frames },
  );
}
