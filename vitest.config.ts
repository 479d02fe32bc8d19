/** The suites: pure ones side by side, those on the real engine one file at a time. */
import { globSync, readFileSync } from "node:fs";
import { defineConfig } from "vitest/config";

const engineTimes = { testTimeout: 120_000, hookTimeout: 180_000 };

/** The gateway's tests that go through its front door: the same files run on Node with SQLite and in workerd with D1. */
const throughTheApp = globSync("gateway/src/**/*.test.ts").filter(
  (file) => !/\/node[^/]*$/.test(file) && readFileSync(file, "utf8").includes("/test/app.ts"),
);

export default defineConfig({
  test: {
    projects: [
      { test: { name: "shared", include: ["shared/src/**/*.test.ts"] } },
      {
        test: {
          name: "gateway",
          include: ["gateway/src/**/*.test.ts"],
          setupFiles: ["gateway/test/query-plans.ts"],
          testTimeout: 20_000,
        },
      },
      {
        test: {
          name: "gateway-workerd",
          include: throughTheApp,
          globalSetup: ["gateway/test/workerd.ts"],
          testTimeout: 20_000,
          hookTimeout: 20_000,
        },
      },
      { test: { name: "web", include: ["gateway/web/src/**/*.test.ts"] } },
      { test: { name: "scripts", include: ["scripts/**/*.test.ts"], testTimeout: 20_000 } },
      {
        test: {
          name: "host-agent",
          include: ["host-agent/{src,test}/**/*.test.ts"],
          maxWorkers: 1,
          sequence: { groupOrder: 1 },
          ...engineTimes,
        },
      },
      {
        test: {
          name: "e2e",
          include: ["e2e/**/*.test.ts"],
          globalSetup: ["e2e/global-setup.ts"],
          maxWorkers: 1,
          sequence: { groupOrder: 2 },
          ...engineTimes,
        },
      },
    ],
  },
});
