/** Starts the bare server that a benchmark measures against. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { nodeFlags } from "../../scripts/build/bundle.ts";

/** `file` is what `GET /file` answers. */
export async function startBareServer(file = "/dev/null"): Promise<{ url: string; close(): void }> {
  const child = spawn(process.execPath, [...nodeFlags, join(import.meta.dirname, "bare-server.ts"), file], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  return { url: `http://127.0.0.1:${Number(line)}`, close: () => void child.kill() };
}
