/**
 * Who is outside and has no credential: connections that cost the attacker nothing, at the gateway and at the host agent. From eight
 * addresses, none of them bob's.
 */
import { once } from "node:events";
import { get, type IncomingMessage } from "node:http";
import { Worker } from "node:worker_threads";
import { until } from "../../gateway/test/wait.ts";
import type { Area, Stage } from "./attempt.ts";
import { type Attack, beside, extra } from "./bystander.ts";

type Target = "gateway" | "host agent";
const portOf = ({ berth }: Stage, target: Target) =>
  Number(target === "gateway" ? new URL(berth.url).port : berth.env["BERTH_HOST_PORT"]);

/**
 * As many connections at once as are let, from a thread of their own: this one measures. Each says `first` and then a byte of
 * `drip` each second. Begun once all have been taken or closed: Node takes one a turn of its loop, first come, first served.
 */
async function connections(stage: Stage, target: Target, count: number, first = "", drip = ""): Promise<Attack> {
  const port = portOf(stage, target);
  const worker = new Worker(opener, { eval: true, workerData: { port, count, first, drip } });
  let opened = 0;
  worker.on("message", () => void (opened += 1));
  await until(() => opened === count, "all are opened");
  const [answer] = (await once(get({ port, path: "/healthz", agent: false }), "response")) as [IncomingMessage];
  answer.resume();
  return {
    force: async () => opened,
    async end() {
      await worker.terminate();
    },
  };
}
const opener = `
const { parentPort, workerData } = require("node:worker_threads");
const { connect } = require("node:net");
const { port, count, first, drip } = workerData;
function open(at) {
  const socket = connect({ port, host: "127.0.0.1", localAddress: "127.0.0." + (2 + (at % 8)) });
  socket.on("error", () => undefined).resume();
  socket.once("connect", () => {
    parentPort.postMessage(1);
    if (first) socket.write(first);
    if (!drip) return;
    const timer = setInterval(() => socket.write(drip), 1000);
    socket.once("close", () => clearInterval(timer));
  });
}
let next = 0;
const begin = setInterval(() => {
  for (let some = 0; some < 50 && next < count; some++) open(next++);
  if (next === count) clearInterval(begin);
}, 10);
`;

/**
 * New connections without end, from a thread of their own, so many at a time: each says this and is closed at once, or, of a whole
 * request, once it is answered.
 */
const churn = (stage: Stage, target: Target, first: string, isWhole = false) =>
  inThread(churner, { port: portOf(stage, target), first, isWhole });
const churner = `
const { parentPort, workerData } = require("node:worker_threads");
const { connect } = require("node:net");
const { port, first, isWhole } = workerData;
let made = 0;
function open(at) {
  const socket = connect({ port, host: "127.0.0.1", localAddress: "127.0.0." + (2 + (at % 8)) });
  socket.on("error", () => undefined).once("close", () => setImmediate(open, at + 8));
  if (isWhole) socket.once("data", () => { made += 1; socket.destroy(); });
  socket.once("connect", () => {
    if (isWhole) return socket.write(first);
    made += 1;
    if (first) socket.write(first, () => socket.destroy());
    else socket.destroy();
  });
}
for (let at = 0; at < 200; at++) open(at);
setInterval(() => parentPort.postMessage(made), 50);
`;

/** Whole requests over kept connections, so many at once, each sent as soon as the one before it is answered. */
const requests = (stage: Stage, target: Target, atOnce: number) =>
  inThread(asker, { port: portOf(stage, target), atOnce });
const asker = `
const { parentPort, workerData } = require("node:worker_threads");
const { connect } = require("node:net");
const { port, atOnce } = workerData;
const ask = "GET /healthz HTTP/1.1\\r\\nhost: a\\r\\n\\r\\n";
let made = 0;
function open(at) {
  const socket = connect({ port, host: "127.0.0.1", localAddress: "127.0.0." + (2 + (at % 8)) });
  socket.on("error", () => undefined).once("close", () => setImmediate(open, at + 8));
  socket.on("data", () => { made += 1; socket.write(ask); }).write(ask);
}
for (let at = 0; at < atOnce; at++) open(at);
setInterval(() => parentPort.postMessage(made), 50);
`;

/** An attack from a thread of its own, which tells now and then how much it has made. */
async function inThread(program: string, workerData: object): Promise<Attack> {
  const worker = new Worker(program, { eval: true, workerData });
  let made = 0;
  worker.on("message", (count: number) => void (made = count));
  return {
    force: async () => made,
    async end() {
      await worker.terminate();
    },
  };
}

const request = (line: string, headers: string) => `${line} HTTP/1.1\r\nhost: a\r\n${headers}`;
const json = "content-type: application/json\r\ncontent-length: 8000\r\n\r\n";

export const outside: Area = {
  name: "outside",
  settings: {},
  attempts: (["gateway", "host agent"] as const).flatMap((target) => [
    beside(`10,000 sockets at the ${target} that say nothing`, 10_000, async (stage) =>
      connections(stage, target, 10_000),
    ),
    beside(`2,000 requests at the ${target} whose headers go on for ever`, 2000, async (stage) =>
      connections(stage, target, 2000, request("GET /healthz", `x: ${"a".repeat(14_000)}`), "a"),
    ),
    beside(`2,000 requests at the ${target} whose bodies go on for ever`, 2000, async (stage) =>
      connections(stage, target, 2000, request(target === "gateway" ? "POST /session" : "POST /v1/runs", json), " "),
    ),
    extra(`new connections to the ${target} without end`, 1000, (stage) => churn(stage, target, "")),
    extra(`new connections to the ${target} without end, each with half a request`, 1000, (stage) =>
      churn(stage, target, request("GET /healthz", "x: a")),
    ),
    extra(`new connections to the ${target} without end, each with a request`, 500, (stage) =>
      churn(stage, target, request("GET /healthz", "\r\n"), true),
    ),
    extra(`requests to the ${target} without end on 400 connections`, 1000, (stage) => requests(stage, target, 400)),
  ]),
};
