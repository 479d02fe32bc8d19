/** Users of a Berth under test, each with a client of their own. */
import { type Client, connectClient } from "./client.ts";

/** Answers a client with a token of this user, made if new. */
export type ClientOf = (user: string, options?: { admin?: boolean }) => Promise<Client>;

/** Makes users over the API, by an admin of its own: a process of the CLI for each would take longer than most tests. */
export function openUsers(url: string, cli: (...args: string[]) => string): { harness: Client; client: ClientOf } {
  const harness = connectClient(url, cli("token", "harness", "--admin"));
  return {
    harness,
    async client(user, { admin = false } = {}) {
      const made = await harness.call<{ id: string }>("POST", "/v1/admin/users", {
        name: user,
        role: admin ? "admin" : "user",
      });
      if (made.status !== 201) return connectClient(url, cli("token", user, ...(admin ? ["--admin"] : [])));
      const tokens = `/v1/admin/users/${made.body.id}/tokens`;
      return connectClient(url, (await harness.ok<{ token: string }>("POST", tokens, { name: "test" })).token);
    },
  };
}

/** Users `NAME-0` … at once. */
export async function makeUsers({ client }: { client: ClientOf }, name: string, count: number): Promise<Client[]> {
  return Promise.all(Array.from({ length: count }, (_, at) => client(`${name}-${at}`)));
}
