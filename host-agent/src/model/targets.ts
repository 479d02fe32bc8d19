/** Where calls of each model API go: as it is set; those of the Messages API to the built-in demo model where nothing is. */
import { createServer } from "node:http";
import type { Settings } from "@berth/shared/settings";
import type { ModelApi, ModelTarget } from "./api.ts";
import { createDemoModel } from "./demo.ts";
import { messagesApi } from "./messages.ts";

export interface ModelTargets {
  of(api: ModelApi): ModelTarget;
  /** Whether the demo model answers here, on a loopback port of its own. */
  isDemo: boolean;
  close(): void;
}

export async function openModelTargets(settings: Settings): Promise<ModelTargets> {
  const of = (api: ModelApi) => api.target(settings);
  if (settings.ANTHROPIC_API_KEY || settings.BERTH_MODEL_URL) return { of, isDemo: false, close: () => {} };
  const demo = createServer(createDemoModel());
  await new Promise<void>((resolve) => demo.listen(0, "127.0.0.1", resolve));
  const { port } = demo.address() as { port: number };
  const demoTarget = { url: `http://127.0.0.1:${port}`, apiKey: null };
  return {
    of: (api) => (api === messagesApi ? demoTarget : of(api)),
    isDemo: true,
    close() {
      demo.close();
      demo.closeAllConnections();
    },
  };
}
