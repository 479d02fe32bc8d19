/** The bare thing beside the gateway: Hono behind its Node adapter and nothing else, in a process of its own. Prints its port. */
import { createReadStream } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { getRequestListener } from "@hono/node-server";
import Sqlite from "better-sqlite3";
import { Hono } from "hono";

const [, , dir = ".", file = "/dev/null"] = process.argv;
/** As durable as the gateway's: a commit is on disk before it is answered. */
const database = new Sqlite(join(dir, "bare.sqlite"));
database.pragma("journal_mode = WAL");
database.pragma("synchronous = FULL");
database.exec("create table rows (id text primary key, body text not null)");
const insert = database.prepare("insert into rows (id, body) values (?, ?)");

const app = new Hono();
/** The same bytes as another server's, once they were given: their value is made JSON anew each time. */
let same: { value: object; headers: Record<string, string> } = { value: {}, headers: {} };
app.put("/same", async (c) => {
  same = await c.req.json();
  return c.body(null, 204);
});
app.get("/same", (c) => c.json(same.value, 200, same.headers));
app.post("/insert", async (c) => {
  const row = { id: crypto.randomUUID(), ...(await c.req.json<object>()) };
  insert.run(row.id, JSON.stringify(row));
  return c.json(row, 201);
});
const listener = getRequestListener(app.fetch);
const server = createServer((request, response) => {
  if (request.url === "/file") createReadStream(file).pipe(response);
  else void listener(request, response);
});
server.listen(0, "127.0.0.1", () => process.stdout.write(`${(server.address() as { port: number }).port}\n`));
