/** All areas that are attacked. A further one is a file with its attempts, a line here, and a test file of two lines. */
import type { Area } from "./attempt.ts";
import { neighbours } from "./neighbours.ts";
import { outside } from "./outside.ts";
import { work } from "./work.ts";

export const areas: Area[] = [work, neighbours, outside];

/** Further walls, which stand as suites of their own: their tests are the attempts. */
export const suites = {
  ended: "e2e/ended.test.ts",
  kept: "e2e/kept.test.ts",
  isolation: "e2e/isolation.test.ts",
  egress: "e2e/egress.test.ts",
  "bad input": "e2e/bad-input.test.ts",
  "raw input": "e2e/raw-input.test.ts",
  money: "host-agent/src/model/proxy.test.ts",
  "who may": "gateway/src/node/who-may.test.ts",
  page: "e2e/dashboard-hostile.test.ts",
  "OpenID provider": "gateway/src/access/provider/hostile.test.ts",
  wire: "host-agent/src/membership/verify.test.ts",
  "a stolen host": "gateway/src/fleet/stolen-host.test.ts",
  tokens: "gateway/src/keys/jwt-attacks.test.ts",
};
