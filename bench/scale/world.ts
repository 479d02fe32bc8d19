/** What a measurement runs in: a filled directory, the gateway on it, hosts and users as children; all of it ends together. */
import { type ChildProcess, fork } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "@berth/shared/node/free-port";
import { fillData, type Sizes, type Tell, type World } from "./fill.ts";
import { createGateway } from "./gateway.ts";
import { askChild } from "./parent.ts";

/** What the command takes. */
export type Options = Record<"hosts" | "workspaces" | "runs" | "waiting" | "sockets" | "seconds", number>;
export const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
export type { Tell };
export type Scene = Awaited<ReturnType<typeof openScene>>;

export async function openScene(sizes: Sizes, tell: Tell, settings: Record<string, string> = {}) {
  const dir = mkdtempSync(join(tmpdir(), "berth-scale-"));
  const port = await freePort();
  const env = { PATH: process.env["PATH"]!, HOME: dir, BERTH_PORT: String(port), BERTH_DATA_DIR: dir, ...settings };
  const children: ChildProcess[] = [];
  const open = (file: string) => {
    const child = fork(join(import.meta.dirname, file), { stdio: ["ignore", "inherit", "inherit", "ipc"] });
    children.push(child);
    return askChild(child);
  };
  const startedAt = performance.now();
  const world: World = await fillData(env, sizes, tell);
  tell(`filled in ${((performance.now() - startedAt) / 1000).toFixed(0)} s`);
  const gateway = await createGateway(dir, port, env);
  await gateway.start();
  return {
    dir,
    world,
    gateway,
    hosts: open("hosts-process.ts"),
    users: open("users-process.ts"),
    open,
    async close(): Promise<void> {
      for (const child of children) child.disconnect();
      await gateway.kill("SIGTERM");
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
