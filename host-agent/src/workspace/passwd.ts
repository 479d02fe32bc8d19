/** The /etc/passwd of a workspace: what the image has, and a line an agent, for programs that ask who they are. */
import { appendFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { forwarderUid } from "./unix-sockets.ts";
import type { AgentRow } from "../store/rows.ts";
import { runGid } from "./volumes.ts";

const imagePasswd =
  "root:x:0:0:root:/root:/usr/sbin/nologin\n" +
  "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n" +
  `berth-forward:x:${forwarderUid}:${forwarderUid}:the forwarder:/nonexistent:/usr/sbin/nologin\n`;

/** Adds the agents' lines in place: the container has the file mounted, so it must stay the same file. */
export async function writePasswd(file: string, agents: AgentRow[]): Promise<void> {
  await mkdir(join(file, ".."), { recursive: true });
  let text = await readFile(file, "utf8").catch(() => "");
  if (text === "") await writeFile(file, (text = imagePasswd), { mode: 0o644 });
  const missing = agents.filter((agent) => !text.includes(`:x:${agent.uid}:`));
  const lines = missing.map(({ uid, id }) => `agent${uid}:x:${uid}:${runGid}:agent:/workspace/agent-${id}:/bin/bash\n`);
  if (lines.length > 0) await appendFile(file, lines.join(""));
}
