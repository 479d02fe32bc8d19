/** The model API to use: the one that is set, else the built-in demo model on a loopback port of its own. */
import { createServer } from "node:http";
import type { Settings } from "@berth/shared/settings";
import { createDemoModel } from "./demo.ts";

/** Where the model proxy sends calls, and whether that is the demo model. */
export interface Upstream {
  target: { url: string; apiKey: string | null };
  isDemo: boolean;
  close(): void;
}

export async function openUpstream({ ANTHROPIC_API_KEY: apiKey, BERTH_MODEL_URL: url }: Settings): Promise<Upstream> {
  if (apiKey || url)
    return {
      target: { url: url ?? "https://api.anthropic.com", apiKey: apiKey ?? null },
      isDemo: false,
      close: () => {},
    };
  const demo = createServer(createDemoModel());
  await new Promise<void>((resolve) => demo.listen(0, "127.0.0.1", resolve));
  const { port } = demo.address() as { port: number };
  const close = () => {
    demo.close();
    demo.closeAllConnections();
  };
  return { target: { url: `http://127.0.0.1:${port}`, apiKey: null }, isDemo: true, close };
}
