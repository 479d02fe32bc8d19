/**
 * A host agent that is killed at one step of its work with the engine: `CRASH_AT=createExec:after` kills this process with
 * SIGKILL just after that call was answered, `:before` just before it is made; with `:fails` each such call fails. All else
 * is the real thing.
 */
import { mkdirSync } from "node:fs";
import { createLog } from "@berth/shared/log";
import { parseSettings } from "@berth/shared/settings";
import type { Engine } from "../../host-agent/src/machine/engine.ts";
import { startHostAgent } from "../../host-agent/src/host-agent.ts";

const [call, when] = process.env["CRASH_AT"]!.split(":");

function crashing(engine: Engine): Engine {
  const crash = () => process.kill(process.pid, "SIGKILL");
  return new Proxy(engine, {
    get(target, name) {
      const real: unknown = target[name as keyof Engine];
      if (typeof real !== "function") return real;
      if (name !== call) return real.bind(target) as unknown;
      return async (...args: unknown[]) => {
        if (when === "before") crash();
        if (when === "fails") throw new Error(`the engine fails at ${name}`);
        const answer: unknown = await real.apply(target, args);
        if (when === "after") crash();
        return answer;
      };
    },
  });
}

const settings = parseSettings(process.env);
mkdirSync(settings.BERTH_HOST_DATA_DIR, { recursive: true });
await startHostAgent({
  settings,
  dataDir: settings.BERTH_HOST_DATA_DIR,
  version: "0.0.0",
  log: createLog((line) => process.stdout.write(`${line}\n`)),
  wrapEngine: crashing,
});
