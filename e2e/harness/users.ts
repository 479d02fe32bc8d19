/** Many users at once: made by an admin over the API, each with a client of their own. */
import { type Client, connectClient } from "./client.ts";
import type { Berth } from "./harness.ts";

/** Makes users `NAME-0` … and answers a client for each. */
export async function makeUsers(berth: Berth, name: string, count: number): Promise<Client[]> {
  const admin = await berth.client(`${name}-admin`, { admin: true });
  return Promise.all(
    Array.from({ length: count }, async (_, at) => {
      const user = await admin.ok<{ id: string }>("POST", "/v1/admin/users", { name: `${name}-${at}` });
      const { token } = await admin.ok<{ token: string }>("POST", `/v1/admin/users/${user.id}/tokens`, {
        name: "test",
      });
      return connectClient(berth.url, token);
    }),
  );
}
