/** Between hosts and gateway: passes their calls on, and while it is told to, delivers reports twice, or again when they are old. */
import { createServer, request, type IncomingMessage } from "node:http";
import { once } from "node:events";
import { buffer } from "node:stream/consumers";
import { pause, type Random } from "./random.ts";

export interface Relay {
  url: string;
  mode: "plain" | "twice" | "late";
  /** Reports that were delivered once more so far. */
  repeated: number;
  close(): void;
}

const lateMs = [500, 8000] as const;

/** Listens on `address` and passes on to the gateway at `gatewayUrl`; tells from which address a report came that was taken, and answered so. */
export async function openRelay(
  address: string,
  gatewayUrl: string,
  random: Random,
  onHeard: (from: string) => void,
): Promise<Relay> {
  const pass = async (incoming: IncomingMessage, body: Buffer) => {
    const onward = request(new URL(incoming.url!, gatewayUrl), {
      method: incoming.method,
      headers: { ...incoming.headers, connection: "close" },
    });
    onward.end(body);
    const [answer] = (await once(onward, "response")) as [IncomingMessage];
    return { answer, body: await buffer(answer) };
  };
  const again = async (incoming: IncomingMessage, body: Buffer, ms: number) => {
    await pause(ms);
    await pass(incoming, body).catch(() => undefined);
    relay.repeated++;
  };
  const server = createServer((incoming, outgoing) => {
    void (async () => {
      const from = incoming.socket.remoteAddress!;
      const body = await buffer(incoming);
      const isReport = incoming.url === "/internal/hosts/report";
      const isRepeated = isReport && relay.mode !== "plain" && random.isTrue(0.7);
      const first = await pass(incoming, body);
      if (isRepeated && relay.mode === "twice") await again(incoming, body, 0);
      if (isRepeated && relay.mode === "late") {
        void again(incoming, body, random.whole(...lateMs));
        // Its answer is lost too, half the time.
        if (random.isTrue(0.5)) return void outgoing.destroy();
      }
      outgoing.writeHead(first.answer.statusCode!, first.answer.headers).end(first.body);
      if (isReport && first.answer.statusCode === 200) onHeard(from);
    })().catch(() => outgoing.destroy());
  });
  server.listen(0, address);
  await once(server, "listening");
  const relay: Relay = {
    url: `http://${address}:${(server.address() as { port: number }).port}`,
    mode: "plain",
    repeated: 0,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
  return relay;
}
