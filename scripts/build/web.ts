/** The dashboard's build: made when it is missing or its sources are newer. */
import { renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { runCommand } from "../setup/debian.ts";
import { root } from "../setup/image.ts";
import { startStep } from "../setup/progress.mjs";
import { isCurrent } from "./current.ts";

const web = join(root, "gateway/web");
const dist = join(web, "dist");
const sources = [
  ...["src", "public", "index.html", "vite.config.ts", "package.json"].map((name) => join(web, name)),
  join(root, "shared/src"),
];

/** Builds `gateway/web/dist` unless it is current. The caller holds the lock of builds. */
export async function buildWeb(): Promise<void> {
  if (isCurrent(join(dist, "index.html"), sources)) return;
  const step = startStep("building the dashboard");
  const made = `${dist}.${process.pid}`;
  try {
    const vite = join(root, "node_modules/vite/bin/vite.js");
    const args = [vite, "build", web, "--outDir", made, "--emptyOutDir", "--logLevel", "error"];
    // A test's environment would have Vite take what packages have for development: 3 kB more than users get.
    await runCommand(process.execPath, args, { env: { NODE_ENV: "production" } });
    // Moved into place whole: a gateway may load the files at this moment.
    rmSync(dist, { recursive: true, force: true });
    renameSync(made, dist);
    step.done();
  } catch (error) {
    step.fail();
    rmSync(made, { recursive: true, force: true });
    throw error;
  }
}
