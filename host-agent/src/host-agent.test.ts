import { parseSettings } from "@berth/shared/settings";
import { expect, test } from "vitest";
import { openServer } from "./host-agent.ts";

test("the host agent's server gives an upload as long as it moves, and headers a minute", () => {
  const server = openServer(parseSettings({}), async () => undefined);
  expect(server).toMatchObject({ requestTimeout: 0, headersTimeout: 60_000 });
});
