/** The suites: pure ones side by side; those on real engines one file at a time, in two lanes beside each other (scripts/commands/test.ts). */
import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** No test is of speed: these are for machines that are slow and busy. */
const expectTimes = { expect: { poll: { timeout: 100_000 } } };
const times = { testTimeout: 120_000, hookTimeout: 120_000, ...expectTimes };
const engineTimes = { testTimeout: 600_000, hookTimeout: 600_000, ...expectTimes };

/** What only Node has: its process, its server. */
const onNodeAlone = ["gateway/src/node/**/*.test.ts"];
/** What only Workers have: bindings. */
const onWorkersAlone = ["gateway/src/worker/**/*.test.ts"];
/** Pure functions, which know no runtime. All other tests of the gateway run on Node with SQLite and in workerd with D1. */
const pure = ["gateway/src/webhooks/template.test.ts", "gateway/src/webhooks/schemes.test.ts"];

/**
 * The suites on real engines, in the order they run. Lanes take about as long, and those that people's patience is part of
 * (a browser, the CLI) are over in one when the storm of `load` begins in the other.
 */
const inOrder = (...names: string[]) => names.map((name) => `e2e/${name}.test.ts`);
const first = inOrder("dashboard", "model", "files", "dashboard-pages", "load");
const beside = inOrder(
  "workspace",
  "isolation",
  "durability",
  "bad-input",
  "runs",
  "dashboard-live",
  "terminal",
  "hosts",
  "commands",
  "egress",
  "webhooks",
  "workers",
  "access",
  "engine",
  "scarce",
  "faults",
);

/** As listed above; a new suite that is not is the first. */
class Sequencer extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const order = [...first, ...beside];
    const place = ({ moduleId }: TestSpecification) => order.findIndex((name) => moduleId.endsWith(`/${name}`));
    return (await super.sort(files)).toSorted((one, other) => place(one) - place(other));
  }
}

export default defineConfig({
  test: {
    sequence: { sequencer: Sequencer },
    projects: [
      { test: { name: "shared", include: ["shared/src/**/*.test.ts"] } },
      {
        test: {
          name: "gateway",
          include: ["gateway/src/**/*.test.ts"],
          exclude: onWorkersAlone,
          setupFiles: ["gateway/test/query-plans.ts"],
          ...times,
        },
      },
      {
        test: {
          name: "gateway-workerd",
          include: ["gateway/src/**/*.test.ts"],
          exclude: [...onNodeAlone, ...pure],
          globalSetup: ["gateway/test/workerd.ts"],
          ...times,
        },
      },
      { test: { name: "web", include: ["gateway/web/src/**/*.test.ts"], ...times } },
      { test: { name: "together", include: ["e2e/together/**/*.test.ts"], ...times } },
      { test: { name: "scripts", include: ["scripts/**/*.test.ts"], ...times } },
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
          exclude: [...beside, "e2e/together/**"],
          globalSetup: ["e2e/engines/global-setup.ts"],
          maxWorkers: 1,
          sequence: { groupOrder: 2 },
          ...engineTimes,
        },
      },
      {
        test: {
          name: "beside",
          include: beside,
          globalSetup: ["e2e/engines/global-setup.ts"],
          maxWorkers: 1,
          sequence: { groupOrder: 2 },
          ...engineTimes,
        },
      },
    ],
  },
});
