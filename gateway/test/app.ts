/** For tests: the real app on a real database in a directory of its own, with a clock that the test moves. */
import { createLog } from "@berth/shared/log";
import { parseSettings, type Environment } from "@berth/shared/settings";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createApp } from "../src/app.ts";
import { systemActor } from "../src/audit.ts";
import type { Deps } from "../src/deps.ts";
import { openData } from "../src/node-data.ts";
import { startServer } from "../src/node-server.ts";
import { createNodeTransport } from "../src/node-transport.ts";
import { issueToken } from "../src/tokens.ts";
import { createUser, type User } from "../src/users.ts";

export type TestApp = Awaited<ReturnType<typeof createTestApp>>;

/** An app with its database; `close` removes both. */
export async function createTestApp(environment: Environment = {}) {
  const dir = mkdtempSync(join(tmpdir(), "berth-gateway-"));
  const settings = parseSettings({ BERTH_DATA_DIR: dir, ...environment });
  const data = await openData(settings);
  const transport = createNodeTransport();
  const lines: string[] = [];
  const clock = { skewMs: 0 };
  const now = () => Date.now() + clock.skewMs;
  const deps: Deps = { settings, ...data, transport, log: createLog((line) => lines.push(line)), now };
  const app = createApp(deps);
  const source = { actor: systemActor, address: null };
  const closing: (() => Promise<void>)[] = [];
  return {
    dir,
    deps,
    app,
    clock,
    /** The lines of the log so far. */
    lines,
    /** Calls the app. A body that is no string goes as JSON. */
    async call(method: string, path: string, options: CallOptions = {}): Promise<Answer> {
      const response = await app.request(path, toInit(method, options));
      const text = await response.text();
      return { status: response.status, headers: response.headers, text, json: () => JSON.parse(text) };
    },
    /** A new user with an API token of an hour. */
    async addUser(name: string, role: User["role"] = "user") {
      const user = await createUser(deps, source, name, role);
      const issued = await issueToken(deps, { userId: user.id, kind: "api", name: "test", seconds: 3600 }, { ...source, action: "token.created" });
      return { ...user, token: issued.token, tokenId: issued.id };
    },
    /** Serves the app on a port of its own. */
    async listen() {
      const server = await startServer(app, "127.0.0.1", 0);
      closing.push(() => server.close(100));
      return { ...server, url: `http://127.0.0.1:${server.port}` };
    },
    async close() {
      for (const end of closing) await end();
      transport.close();
      data.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

export interface Answer {
  status: number;
  headers: Headers;
  text: string;
  // oxlint-disable-next-line no-explicit-any -- tests look into answers freely
  json(): any;
}

export interface CallOptions {
  token?: string;
  body?: unknown;
  headers?: Record<string, string>;
}

function toInit(method: string, { token, body, headers = {} }: CallOptions): RequestInit {
  const all = new Headers(headers);
  if (token !== undefined) all.set("authorization", `Bearer ${token}`);
  if (body === undefined) return { method, headers: all };
  if (!all.has("content-type")) all.set("content-type", "application/json");
  return { method, headers: all, body: typeof body === "string" ? body : JSON.stringify(body) };
}
