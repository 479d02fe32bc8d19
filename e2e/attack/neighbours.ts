/**
 * The forwarder serves the quiet one beside the loud one: what an agent asks of the egress proxy at full force, under its own
 * address or others', and what another agent of the same user notices, which asks one thing after the other.
 */
import type { Area, Attempt } from "./attempt.ts";
import { textOf } from "../harness/client.ts";
import { median, runs, spin } from "./bystander.ts";
import { churn, flood, python, shell, toProxy } from "./work.ts";

/** Each as a connection of its own, by somebody who lets go after 20 s. */
const quietCalls = 20;
const quiet = `
import socket, time
for _ in range(${quietCalls}):
    begun = time.monotonic()
    try:
        with socket.create_connection(("127.0.0.1", 3128), 20) as s:
            s.settimeout(20)
            s.sendall(b"GET http://refused.example/ HTTP/1.1\\r\\nhost: refused.example\\r\\nconnection: close\\r\\n\\r\\n")
            said = b""
            while more := s.recv(65536): said += more
        print(round((time.monotonic() - begun) * 1000) if b"403" in said else "lost", flush=True)
    except OSError: print("lost", flush=True)
    time.sleep(0.05)`;
/** Of answers, or of tries. */
const leastForce = 100;
/** More than the machine's noise, beside other suites too; without lanes calls take ten seconds, or are lost. */
const mostMs = { alone: 250, shared: 1000 };

/** An attempt that holds where the neighbour's calls are all answered, within three times what they take beside a busy one. */
function besideNeighbour(name: string, ...programs: string[]): Attempt {
  return {
    name,
    async make(stage) {
      const asked = await stage.mallory.createAgent("quiet", { runtime: "shell" });
      const ask = async () => {
        const { lines } = await stage.mallory.runToEnd(asked.id, python(quiet));
        return lines.map((line) => Number(textOf(line)));
      };
      try {
        const [base] = await beside(() => spin(stage), ask);
        const [took, force] = await beside(() => runs(stage, programs.map(shell)), ask);
        const answered = took.filter((ms) => !Number.isNaN(ms));
        const [before, now] = [median(base), median(answered)];
        const wrong =
          answered.length < quietCalls ? [`${quietCalls - answered.length} of ${quietCalls} were lost`] : [];
        if (!(now <= Math.max(3 * before, mostMs[stage.bar])))
          wrong.push(`a call took ${now} ms, ${before} beside a busy one`);
        if (!(before <= mostMs.shared)) wrong.push(`a call takes ${before} ms where nobody attacks`);
        if (force < leastForce) wrong.push(`the attack had a force of ${force}`);
        const figures = `force ${force}, ${before} → ${now} (max ${Math.max(...answered)}) ms, ${answered.length} of ${quietCalls}`;
        return { wrong, figures };
      } finally {
        await stage.mallory.ok("DELETE", `/v1/agents/${asked.id}`);
      }
    },
  };
}

async function beside(begin: () => ReturnType<typeof runs>, ask: () => Promise<number[]>): Promise<[number[], number]> {
  const attack = await begin();
  try {
    return [await ask(), await attack.force()];
  } finally {
    await attack.end();
  }
}

const whole = 'b"GET http://refused.example/ HTTP/1.1\\r\\nhost: refused.example\\r\\n\\r\\n"';
/** As many connections as are taken, each asking once and again once it is answered. */
const asking = `
import os, select, socket
poll, held = select.epoll(), {}
def add():
    try:
        ${toProxy}
        s.send(${whole})
    except OSError: return
    held[s.fileno()] = s
    poll.register(s, select.EPOLLIN)
while True:
    for _ in range(20):
        if len(held) < 900: add()
    for fd, event in poll.poll(0.01):
        try: held[fd].recv(65536) and os.write(1, b".")
        except OSError: pass
        held.pop(fd).close()`;
/** From each address that an agent's connections come from, as far as the kernel lets it. */
const asNeighbours = `
import os, socket
at = 0
while True:
    at += 1
    s = socket.socket()
    try:
        s.bind(("127.31.28.%d" % (at % 20), 0))
        s.connect(("127.0.0.1", 3128))
        s.send(${whole})
    except OSError: pass
    os.write(1, b".")
    s.close()`;

export const neighbours: Area = {
  name: "neighbours",
  settings: {},
  attempts: [
    besideNeighbour("a neighbour's calls beside whole requests without end on 900 connections", asking),
    besideNeighbour(
      "a neighbour's calls beside new connections without end, each with a whole request",
      churn(`${toProxy}; s.send(${whole})`),
    ),
    besideNeighbour(
      "a neighbour's calls beside pipelined requests on 200 connections",
      flood(toProxy, `${whole} * 200`, 200),
    ),
    besideNeighbour("a neighbour's calls beside new connections from everybody's addresses", asNeighbours),
    besideNeighbour("a neighbour's calls beside two who ask without end", asking, asking),
  ],
};
