/** A wire between gateway and host that a test can act on: a plain HTTP relay which calls back before and after each request. */
import { createServer, request } from "node:http";
import { once } from "node:events";

export interface Wire {
  url: string;
  /** Called with "METHOD /path" when a request came, and again when the host has answered it; the wire waits for it. */
  onRequest: (what: string) => Promise<void> | void;
  onAnswer: (what: string) => Promise<void> | void;
  /** The port of this machine to relay to. */
  relayTo(port: number): void;
  close(): void;
}

/** Listens on a free port. */
export async function openWire(port = 0): Promise<Wire> {
  const server = createServer((incoming, outgoing) => {
    const what = `${incoming.method} ${incoming.url}`;
    void (async () => {
      await wire.onRequest(what);
      const onward = request({
        host: "127.0.0.1",
        port,
        method: incoming.method,
        path: incoming.url,
        headers: incoming.headers,
      });
      incoming.pipe(onward);
      const [answer] = (await once(onward, "response")) as [import("node:http").IncomingMessage];
      await wire.onAnswer(what);
      outgoing.writeHead(answer.statusCode!, answer.headers);
      answer.pipe(outgoing);
    })().catch(() => outgoing.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const wire: Wire = {
    url: `http://127.0.0.1:${(server.address() as { port: number }).port}`,
    onRequest: () => undefined,
    onAnswer: () => undefined,
    relayTo: (to) => void (port = to),
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
  return wire;
}
