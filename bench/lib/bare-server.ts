/** The bare thing beside the gateway: Hono behind its Node adapter and nothing else, in a process of its own. Prints its port. */
import { createReadStream } from "node:fs";
import { createServer } from "node:http";
import { getRequestListener } from "@hono/node-server";
import { Hono } from "hono";

const app = new Hono();
app.get("/hello", (c) => c.text("hello"));
app.post("/echo", async (c) => c.json(await c.req.json(), 201));
const listener = getRequestListener(app.fetch);
const server = createServer((request, response) => {
  if (request.url === "/file") createReadStream(process.argv[2]!).pipe(response);
  else void listener(request, response);
});
server.listen(0, "127.0.0.1", () => process.stdout.write(`${(server.address() as { port: number }).port}\n`));
