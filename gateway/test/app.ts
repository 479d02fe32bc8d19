/** For tests: the real app on a real database, with a clock that the test moves. */
import type { Environment } from "@berth/shared/settings";
import type { User } from "@berth/shared/users";
import { inject } from "vitest";
import { issueToken } from "../src/access/tokens.ts";
import { createUser } from "../src/access/users.ts";
import { openOnNode } from "./on-node.ts";
import { openOnWorkerd } from "./workerd/on-workerd.ts";
import type { TestClock } from "./runtime.ts";
import { systemActor } from "../src/http/caller.ts";

export type TestApp = Awaited<ReturnType<typeof createTestApp>>;

/** How tests call an app. A body that is no string goes as JSON. */
export const callerOf =
  (request: (path: string, init: RequestInit) => Promise<Response> | Response) =>
  async (method: string, path: string, options: CallOptions = {}): Promise<Answer> => {
    const response = await request(path, toInit(method, options));
    const text = await response.text();
    return { status: response.status, headers: response.headers, text, json: () => JSON.parse(text) };
  };

/** An app with its database, on Node or (in the project that provides one) in workerd; `close` removes both. */
export async function createTestApp(environment: Environment = {}) {
  const clock: TestClock = { skewMs: 0 };
  const workerd = inject("workerdUrl");
  const runtime = workerd ? await openOnWorkerd(workerd, environment, clock) : await openOnNode(environment, clock);
  const { deps, request } = runtime;
  const source = { actor: systemActor, address: null };
  return {
    ...runtime,
    app: { request },
    clock,
    call: callerOf(request),
    /** A new user with an API token of an hour. */
    async addUser(name: string, role: User["role"] = "user") {
      const user = await createUser(deps, source, name, role);
      const issued = await issueToken(
        deps,
        { ...source, action: "token.created" },
        { userId: user.id, kind: "api", name: "test", seconds: 3600 },
      );
      return { ...user, token: issued.token, tokenId: issued.id };
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
