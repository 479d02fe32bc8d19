/**
 * An agent chooses no amount of our work: whatever an agent, a user or a stranger makes costs the loops that all share a
 * bounded amount a second. Each attempt goes at full force; the programs run inside mallory's container, for two minutes at most.
 */
import { Worker } from "node:worker_threads";
import type { Area, Stage } from "./attempt.ts";
import { atTheEnd, type Attack, beside, extra, runs } from "./bystander.ts";

/** A program of Python as a line of shell. */
export const python = (source: string) =>
  `echo ${Buffer.from(source).toString("base64")} | base64 -d | timeout 120 python3 -`;
/** The same run by the CLI as its tool, so that its lines are read as the CLI's. */
const asTool = (source: string) => `demo: run ${python(source)}`;
export const shell = (source: string) => `echo up; ${python(source)}`;

/** Appends to the run's own log what the agent likes. */
const toLog = `
import os, time
log = os.open("/run/berth-runs/" + os.environ["BERTH_RUN_ID"] + "/out", os.O_WRONLY | os.O_APPEND)
def put(data):
    while data: data = data[os.write(log, data):]
`;
const bigLines = `${toLog}
size = 16 * 2**20 - 100
line = b'{"a":[' + b"[]," * (size // 3) + b"[]]}\\n"
for _ in range(15): put(line)
time.sleep(100)`;
const richLines = `${toLog}
line = b'{"type":"system","subtype":"init","a":[' + b"[]," * 20000 + b"[]]}\\n"
for _ in range(3900): put(line)
time.sleep(100)`;
const emptyLines = `${toLog}
for _ in range(200):
    put(b"\\n" * 2**20)
    time.sleep(0.05)
time.sleep(100)`;
const writes = `${toLog}
err = os.open("/run/berth-runs/" + os.environ["BERTH_RUN_ID"] + "/err", os.O_WRONLY | os.O_APPEND)
while True:
    os.write(log, b"x")
    os.write(err, b"x")
    os.write(log, b"\\n")
    os.write(err, b"\\n")`;
const sleepers = `
import os, time
for _ in range(140):
    if os.fork() == 0:
        time.sleep(110)
        os._exit(0)
${writes}`;

/** Whoever opens a file on which its owner holds a lease waits for up to 45 s; one is had where nobody else has the file open. */
const leases = `
import fcntl, os, signal, time
run = "/run/berth-runs/" + os.environ["BERTH_RUN_ID"] + "/"
signal.signal(signal.SIGIO, signal.SIG_IGN)
os.close(1)
os.close(2)
os.kill(-1, signal.SIGKILL)
held, until = {}, time.monotonic() + 110
while time.monotonic() < until:
    log = os.open(run + "out", os.O_WRONLY | os.O_APPEND)
    os.write(log, b".")
    os.close(log)
    for name in ("exit", "err"):
        if name not in held: held[name] = os.open(run + name, os.O_RDONLY)
        try: fcntl.fcntl(held[name], fcntl.F_SETLEASE, fcntl.F_WRLCK)
        except OSError: pass
    time.sleep(0.01)`;

/** As many connections as there are, each sending the same again and again; one that is closed is opened anew. */
export const flood = (connect: string, data: string, connections: number) => `
import os, select, socket
def connect():
    ${connect}
    s.setblocking(False)
    return s
data = ${data}
poll = select.epoll()
held = {}
def add():
    try: s = connect()
    except OSError: return
    held[s.fileno()] = s
    poll.register(s, select.EPOLLIN | select.EPOLLOUT)
while True:
    if len(held) < ${connections}: add()
    for fd, event in poll.poll(0.01):
        try:
            if event & select.EPOLLIN and not held[fd].recv(65536): raise OSError
            if event & select.EPOLLOUT:
                held[fd].send(data)
                os.write(1, b".")
        except BlockingIOError: pass
        except OSError: held.pop(fd).close()`;
/** A connection after the other as fast as they are taken, each closed again. */
export const churn = (connect: string) => `
import os, socket
while True:
    try:
        ${connect}
        s.close()
        os.write(1, b".")
    except OSError: pass`;
const toModel = `s = socket.socket(socket.AF_UNIX); s.connect("/run/berth/" + os.environ["BERTH_AGENT_ID"] + ".sock")`;
export const toProxy = `s = socket.create_connection(("127.0.0.1", 3128))`;
/** A tunnel on a socket that has none, closed with an answer unread. */
const lostTunnels = `
import os, socket, time
for _ in range(50):
    ${toModel}
    s.send(b"HEAD / HTTP/1.1\\r\\nhost: a\\r\\n\\r\\n")
    time.sleep(0.1)
    s.send(b"CONNECT a:1 HTTP/1.1\\r\\nhost: a\\r\\n\\r\\n")
    time.sleep(0.1)
    s.close()`;

/** Each takes little of what a memory file system may have, and none of it is what its size bounds. */
const manyFiles = `
import os
for at in range(250000): os.close(os.open("/dev/shm/%0200d" % at, os.O_CREAT))`;
/** Calls of the model with the run's token, on 64 connections, each sent once the one before it is answered. */
const asking = `
import os, select, socket
head = "POST /v1/messages HTTP/1.1\\r\\nhost: a\\r\\nx-api-key: %s\\r\\ncontent-type: application/json\\r\\ncontent-length: 2\\r\\n\\r\\n{}"
data = (head % os.environ["ANTHROPIC_API_KEY"]).encode()
poll = select.epoll()
held = {}
def add():
    ${toModel}
    held[s.fileno()] = s
    poll.register(s, select.EPOLLIN)
    s.send(data)
while True:
    if len(held) < 64: add()
    for fd, event in poll.poll(0 if len(held) < 64 else 1):
        try:
            if not held[fd].recv(65536): raise OSError
            os.write(1, b".")
            held[fd].send(data)
        except OSError: held.pop(fd).close()`;

/** Readers of a run that take all there is, and readers that take nothing. */
async function withReaders(
  stage: Stage,
  begin: Promise<Attack & { runIds: string[] }>,
  takes: boolean,
): Promise<Attack> {
  const attack = await begin;
  const gone = new AbortController();
  const read = async (runId: string) => {
    const headers = { authorization: `Bearer ${stage.mallory.token}` };
    const answer = await fetch(`${stage.mallory.url}/v1/runs/${runId}/events`, { headers, signal: gone.signal });
    if (takes) for await (const chunk of answer.body!) void chunk;
  };
  const readers = Array.from({ length: 10 }, () => read(attack.runIds[0]!).catch(() => undefined));
  return {
    force: attack.force,
    async end() {
      gone.abort();
      await Promise.all(readers);
      await attack.end();
    },
  };
}

/** The longest messages, quotes alone, to an agent of mallory's. */
async function messagesOf(stage: Stage): Promise<Attack> {
  const { id } = await stage.mallory.createAgent("long", { runtime: "shell" });
  const body = JSON.stringify({ prompt: `true #${'"'.repeat(1_000_000)}` });
  const sent = calls(stage, 40, `/v1/agents/${id}/runs`, ofMallory(stage), body);
  return { ...sent, end: () => sent.end().then(() => stage.mallory.ok("DELETE", `/v1/agents/${id}`)) };
}

/**
 * Calls that go on until the end, so many at once, from a thread of their own: this one measures. Without a body they only read. Those
 * that were answered count.
 */
function calls(
  stage: Stage,
  atOnce: number,
  path: string,
  headers: Record<string, string>,
  body: string | null,
): Attack {
  const workerData = { url: `${stage.berth.url}${path}`, atOnce, headers, body };
  const worker = new Worker(caller, { eval: true, workerData });
  let made = 0;
  worker.on("message", () => void (made += 1));
  return {
    force: async () => made,
    async end() {
      await worker.terminate();
    },
  };
}
const caller = `
const { parentPort, workerData } = require("node:worker_threads");
const { Agent, request } = require("node:http");
const { url, atOnce, headers, body } = workerData;
const agent = new Agent({ keepAlive: true, maxSockets: atOnce });
function call() {
  const again = () => void setImmediate(call);
  const method = body === null ? "GET" : "POST";
  const sent = request(url, { method, agent, headers }, (answer) => {
    parentPort.postMessage(1);
    answer.resume().once("close", again);
  });
  sent.once("error", again);
  sent.end(body ?? undefined);
}
for (let at = 0; at < atOnce; at++) call();
`;

const json = { "content-type": "application/json" };
const ofMallory = ({ mallory }: Stage) => ({ ...json, authorization: `Bearer ${mallory.token}` });
const nested = `{"code":[${"{},".repeat(690_000)}{}]}`;

async function openSockets({ mallory }: Stage, count: number): Promise<Attack> {
  const asked = await Promise.allSettled(Array.from({ length: count }, () => mallory.connect()));
  const opened = asked.flatMap((socket) => (socket.status === "fulfilled" ? [socket.value] : []));
  return {
    force: async () => opened.length,
    async end() {
      await Promise.all(opened.map((socket) => socket.close()));
    },
  };
}

export const work: Area = {
  name: "work",
  settings: {},
  attempts: [
    beside("15 lines of 16 MiB of JSON", 200e6, (stage) => runs(stage, [asTool(bigLines)], "claude")),
    beside("lines of 16 MiB of JSON with ten readers", 200e6, (stage) =>
      withReaders(stage, runs(stage, [asTool(bigLines)], "claude"), true),
    ),
    beside("lines of 60 KB of JSON that the CLI might have said", 200e6, (stage) =>
      runs(stage, [asTool(richLines)], "claude"),
    ),
    beside("a million empty lines again and again, with ten readers", 1e6, (stage) =>
      withReaders(stage, runs(stage, [shell(emptyLines)]), true),
    ),
    beside("readers that never read", 1e6, (stage) => withReaders(stage, runs(stage, [shell(emptyLines)]), false)),
    beside("a write to the log in each microsecond", 1e5, (stage) => runs(stage, [shell(writes), shell(writes)])),
    beside("leases on the files of its run", 100, (stage) => runs(stage, [shell(leases)])),
    beside("420 processes and busy logs", 1e4, (stage) => runs(stage, Array<string>(3).fill(shell(sleepers)))),
    beside("pipelined calls of the model", 1, (stage) =>
      runs(stage, [shell(flood(toModel, 'b"HEAD / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n" * 2000', 1))]),
    ),
    beside("pipelined calls of the model on 200 connections, refused ones", 200, (stage) =>
      runs(stage, [shell(flood(toModel, 'b"GET /x HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n" * 2000', 200))]),
    ),
    beside("refused calls of the proxy on 200 connections", 200, (stage) =>
      runs(stage, [shell(flood(toProxy, 'b"CONNECT refused.example:443 HTTP/1.1\\r\\n\\r\\n" * 200', 200))]),
    ),
    beside("connections to the model that say nothing, again and again", 100, (stage) =>
      runs(stage, [shell(flood(`${toModel}; s.send(b"POST /v1/m")`, 'b"x" * 70000', 900))]),
    ),
    extra("new connections to the model without end, three agents", 500, (stage) =>
      runs(stage, Array<string>(3).fill(shell(churn(toModel)))),
    ),
    beside("new connections to the model without end, each with half a request", 500, (stage) =>
      runs(stage, Array<string>(3).fill(shell(churn(`${toModel}; s.send(b"POST /v1/messages HTTP/1.1\\r\\nhost")`)))),
    ),
    extra("new connections to the proxy without end, three agents", 500, (stage) =>
      runs(stage, Array<string>(3).fill(shell(churn(toProxy)))),
    ),
    beside("new connections to the proxy without end, each with half a request", 500, (stage) =>
      runs(
        stage,
        Array<string>(3).fill(shell(churn(`${toProxy}; s.send(b"CONNECT github.com:443 HTTP/1.1\\r\\nhost")`))),
      ),
    ),
    beside("charged calls of the model without end, three runs", 100, (stage) =>
      runs(stage, Array<string>(3).fill(shell(asking))),
    ),
    atTheEnd("tunnels on the model's socket, closed with an answer unread", shell(lostTunnels)),
    atTheEnd("files without number in shared memory, which its end frees", shell(manyFiles)),
    beside("400 sockets of one user, of whom a hundred are let", 100, (stage) => openSockets(stage, 400)),
    extra("messages of two megabytes on 40 connections", 100, messagesOf),
    extra("files that are read without end, as many at once as are let", 100, async (stage) => {
      const { id } = await stage.mallory.createAgent("reader", { runtime: "shell" });
      await stage.mallory.ok("PUT", `/v1/agents/${id}/files/small`, "x");
      const sent = calls(stage, 32, `/v1/agents/${id}/files/small`, ofMallory(stage), null);
      return { ...sent, end: () => sent.end().then(() => stage.mallory.ok("DELETE", `/v1/agents/${id}`)) };
    }),
    extra("a user's calls without end on 200 connections", 1000, async (stage) =>
      calls(stage, 200, "/v1/agents", ofMallory(stage), null),
    ),
    beside("sign-in with two megabytes of JSON", 10, async (stage) => calls(stage, 6, "/session", json, nested)),
    beside("a new agent of two megabytes of JSON", 10, async (stage) =>
      calls(stage, 6, "/v1/agents", ofMallory(stage), nested),
    ),
  ],
};
