/**
 * The suites: those that need neither root nor an engine nor the machine's programs (`npm run quick`) side by side; those on
 * real engines a few files at a time, from a queue (scripts/develop/test.ts).
 */
import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** No test is of speed: these are for machines that are slow and busy. */
const expectTimes = { expect: { poll: { timeout: 100_000 } } };
const times = { testTimeout: 120_000, hookTimeout: 120_000, ...expectTimes };
/** Files of one process after the other: it costs more to load our modules anew than most files take. None of them keeps state. */
const together = { isolate: false, ...times };
/**
 * How many suites on a prepared machine run at once, each with processes and users of its own: they wait as much as they work,
 * for engines, deadlines, what others do. Who has run one takes the next in the same process.
 */
const queued = {
  maxWorkers: 3,
  isolate: false,
  sequence: { groupOrder: 1 },
  testTimeout: 600_000,
  hookTimeout: 600_000,
  ...expectTimes,
};

/** What only Node has: its process, its server. */
const onNodeAlone = ["gateway/src/node/**/*.test.ts"];
/** What only Workers have: bindings. */
const onWorkersAlone = ["gateway/src/worker/**/*.test.ts"];
/** Pure functions, which know no runtime. All other tests of the gateway run on Node with SQLite and in workerd with D1. */
const pure = ["gateway/src/webhooks/template.test.ts", "gateway/src/webhooks/schemes.test.ts"];

/** What mounts, owns and seals as root, or calls programs of the machine (curl, git, openssl). */
const onMachines = [
  "host-agent/src/egress/{clients,source-address}.test.ts",
  "host-agent/src/machine/freezer.test.ts",
  "host-agent/src/store/full.test.ts",
  "host-agent/src/workspace/{reserve-uids,volume*}.test.ts",
  "host-agent/test/**/*.test.ts",
];
/** What is built and started: bundles, the Worker. */
const builds = ["scripts/build/**/*.test.ts", "bench/scale/*.test.ts"];

/**
 * The suites on real engines as a queue: who is free takes the next one. The longest go first, so that no lane ends late; those with a browser
 * stand after the storm of `load`, for people's patience is part of them.
 */
export const queue = [
  "load",
  "model",
  "place",
  "hosts",
  "boot",
  "durability",
  "attack-work",
  "attack-outside",
  "attack-neighbours",
  "directory",
  "day",
  "walk",
  "commands",
  "workspace",
  "faults",
  "boot-compose",
  "dashboard",
  "dashboard-pages",
  "dashboard-turn",
  "turn",
  "ahead",
  "dashboard-kept",
  "dashboard-many",
  "dashboard-words",
  "dashboard-place",
  "backup",
  "proxies",
  "contract",
  "files",
  "runs",
  "isolation",
  "dashboard-live",
  "dashboard-away",
  "dashboard-hostile",
  "engine",
  "runtime",
  "workers",
  "bad-input",
  "raw-input",
  "terminal",
  "ended",
  "kept",
  "webhooks",
  "scarce",
  "access",
  "egress",
  "changes",
  "git",
  "traces",
].map((name) => `/e2e/${name}.test.ts`);

/** As listed above. */
class Sequencer extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const place = ({ moduleId }: TestSpecification) => queue.findIndex((name) => moduleId.endsWith(name));
    return (await super.sort(files)).toSorted((one, other) => place(one) - place(other));
  }
}

export default defineConfig({
  test: {
    sequence: { sequencer: Sequencer },
    projects: [
      { test: { name: "shared", include: ["shared/{src,node}/**/*.test.ts"], ...together } },
      {
        test: {
          name: "gateway",
          include: ["gateway/src/**/*.test.ts"],
          exclude: onWorkersAlone,
          setupFiles: ["gateway/test/check-query-plans.ts"],
          ...together,
        },
      },
      {
        test: {
          name: "gateway-workerd",
          include: ["gateway/src/**/*.test.ts"],
          exclude: [...onNodeAlone, ...pure],
          globalSetup: ["gateway/test/workerd/workerd.ts"],
          ...together,
        },
      },
      { test: { name: "web", include: ["gateway/web/src/**/*.test.ts"], ...together } },
      { test: { name: "judge", include: ["e2e/judge/**/*.test.ts"], ...together } },
      { test: { name: "together", include: ["e2e/together/**/*.test.ts"], ...together } },
      {
        test: {
          name: "simulation",
          include: ["simulation/**/*.test.ts"],
          testTimeout: 2_400_000,
          // Each test is a process or two of its own: mutants two at once, as schedules are played in two halves.
          maxConcurrency: 2,
        },
      },
      { test: { name: "scripts", include: ["scripts/**/*.test.ts"], exclude: builds, ...together } },
      { test: { name: "builds", include: builds, ...queued } },
      { test: { name: "host-agent", include: ["host-agent/src/**/*.test.ts"], exclude: onMachines, ...together } },
      {
        test: {
          name: "host-agent-machine",
          include: onMachines,
          ...queued,
        },
      },
      {
        test: {
          name: "e2e",
          include: ["e2e/**/*.test.ts"],
          exclude: ["e2e/together/**", "e2e/judge/**"],
          globalSetup: ["e2e/engines/global-setup.ts"],
          ...queued,
        },
      },
    ],
  },
});
