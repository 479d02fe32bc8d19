/** In a network namespace of its own, by the kernel that decides. */
import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";
import { createLanes, sourceRules, sourceScript } from "./source-address.ts";

test("each agent has a lane that nobody has, while there is one, and leaves it to the next", () => {
  const lanes = createLanes();
  const first = Array.from({ length: 16 }, (_, at) => lanes.of(`a${at}`, 20_000 + at));
  expect(first).toEqual(Array.from({ length: 16 }, (_, at) => at + 1));
  expect([lanes.of("a3", 20_003), lanes.of("late", 20_016)]).toEqual([4, 1]);
  lanes.leave("a7");
  expect(lanes.of("next", 20_017)).toBe(8);
  expect(lanes.byUid().get(20_017)).toBe(8);
});

/** What connects as `uid`, and from which address if it binds to one; the forwarder's word where it came from. */
const connecting = `
import json, os, socket, sys
server = socket.socket(); server.bind(("127.0.0.1", 3128)); server.listen(64)
def come(uid, source, kind):
    told, tell = os.pipe()
    if os.fork() == 0:
        os.setgid(19001); os.setuid(uid)
        one = socket.socket(socket.AF_INET6 if kind == "mapped" else socket.AF_INET)
        try:
            if kind == "routed": one.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, bytes([131, 7, 4, 127, 0, 0, 1, 0]))
            if source: one.bind((source, 0))
            one.settimeout(1)
            one.connect(("::ffff:127.0.0.1" if kind == "mapped" else "127.0.0.9" if kind == "routed" else "127.0.0.1", 3128))
            os.write(tell, b"yes")
        except OSError: os.write(tell, b"no")
        os._exit(0)
    isThere = os.read(told, 9) == b"yes"
    os.wait()
    return server.accept()[1][0] if isThere else None
print(json.dumps([come(*one) for one in json.loads(sys.argv[1])]))`;

test("the kernel gives an agent's connections its address, and no other agent's to it", () => {
  const comes: [uid: number, source: string | null, kind: string, seenAs: string | null][] = [
    [20_005, null, "plain", "127.31.28.1"],
    [20_006, null, "plain", "127.31.28.2"],
    [20_006, null, "mapped", "127.31.28.2"],
    [20_006, "127.31.28.2", "plain", "127.31.28.2"],
    [20_006, "127.31.28.1", "plain", null],
    [20_006, "127.31.28.1", "routed", null],
    [20_006, "127.31.28.9", "plain", null],
    [20_006, "127.31.28.77", "plain", null],
    [20_006, "127.0.0.7", "plain", "127.0.0.7"],
    // An agent that nobody has told of, and one whose lane is another's by now.
    [20_009, null, "plain", "127.0.0.1"],
    [20_009, "127.31.28.1", "plain", null],
    [20_004, null, "plain", "127.0.0.1"],
  ];
  const before = sourceRules(3128, 20_000, new Map([[20_004, 1]]));
  const rules = sourceRules(
    3128,
    20_000,
    new Map([
      [20_005, 1],
      [20_006, 2],
    ]),
  );
  const script = `ip link set lo up; tell() { ${sourceScript}
}; tell ${before.map((rule) => `"${rule}"`).join(" ")}; tell "$@" && exec python3 - '${JSON.stringify(comes.map((come) => come.slice(0, 3)))}'`;
  const out = execFileSync("unshare", ["-n", "sh", "-c", script, "sh", ...rules], {
    input: connecting,
    encoding: "utf8",
  });
  expect(comes.map((come, at) => [...come.slice(0, 3), JSON.parse(out)[at]])).toEqual(comes);
});
