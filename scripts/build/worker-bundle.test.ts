import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { root } from "../setup/image.ts";

const maxBytes = 250_000;

test("the Worker is under 250 kB, compressed", () => {
  const dir = mkdtempSync(join(tmpdir(), "berth-bundle-"));
  const assets = join(dir, "assets");
  mkdirSync(assets);
  const env = { ...process.env, WRANGLER_SEND_METRICS: "false", WRANGLER_SEND_ERROR_REPORTS: "false", CI: "1" };
  try {
    const args = ["deploy", "--dry-run", "--minify", "--outdir", join(dir, "out"), "--assets", assets];
    execFileSync(join(root, "node_modules/.bin/wrangler"), args, { cwd: root, env, stdio: "pipe" });
    const script = readFileSync(join(dir, "out/main.js"));
    const bytes = gzipSync(script, { level: 9 }).length;
    process.stdout.write(`the Worker: ${script.length} bytes, ${bytes} compressed\n`);
    expect(bytes).toBeLessThan(maxBytes);
    expect(script.includes('from"node:')).toBe(false);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});
