/** Starts the bare server that a benchmark measures against. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** By Node as it comes, without a flag of ours. `file` is what `GET /file` answers. */
export async function startBareServer(file = "/dev/null"): Promise<{ url: string; close(): void }> {
  const dir = mkdtempSync(join(tmpdir(), "berth-bare-"));
  const child = spawn(process.execPath, [join(import.meta.dirname, "bare-server.ts"), dir, file], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  return {
    url: `http://127.0.0.1:${Number(line)}`,
    close: () => {
      child.kill();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
