/** The resources of the contract as schemas: what the API answers and accepts. Both processes and the dashboard speak these. */
import { z } from "zod";
import { runtimeNames, runtimesOwnEnv } from "./kinds/runtimes.ts";
import type { Settings } from "./settings.ts";
import {
  agentName,
  attachmentPath,
  directoryBelow,
  id,
  plainText,
  repositoryUrl,
  runStatus,
  time,
  type RunStatus,
} from "./values.ts";
import { originOf } from "./webhooks.ts";

const workspaceStatus = z.enum(["absent", "starting", "running", "stopping", "failed"]);
/** A user's one container and its volume. Sizes in bytes; `cpu.percent` is of one core. */
export const workspaceSchema = z
  .object({
    status: workspaceStatus,
    hostId: id.nullable(),
    containerId: z.string().nullable(),
    memory: z.object({ usedBytes: z.int(), limitBytes: z.int(), warnBytes: z.int(), warning: z.boolean() }),
    cpu: z.object({ percent: z.number(), cores: z.number() }),
    pids: z.object({ current: z.int(), limit: z.int() }),
    disk: z.object({ usedBytes: z.int(), limitBytes: z.int() }),
    connections: z.int(),
    activeRuns: z.int(),
    startedAt: time.nullable(),
    sampledAt: time.nullable(),
    reason: z.string().nullable(),
  })
  .meta({ id: "Workspace" });
export type Workspace = z.infer<typeof workspaceSchema>;

/** What is known of a workspace beside its limits; what is left out is as of one that nobody has started. */
type WorkspaceFacts = Partial<
  Pick<Workspace, "status" | "containerId" | "connections" | "activeRuns" | "startedAt" | "sampledAt" | "reason"> & {
    memoryBytes: number;
    cpuPercent: number;
    pids: number;
    diskBytes: number;
    diskLimitBytes: number;
  }
>;

/** The one place where a workspace takes its shape, for the host that runs it and for the gateway where no host does yet. */
export function describeWorkspace(settings: Settings, hostId: string | null, facts: WorkspaceFacts = {}): Workspace {
  return {
    status: facts.status ?? "absent",
    hostId,
    containerId: facts.containerId ?? null,
    memory: describeMemory(settings, facts.memoryBytes ?? 0),
    cpu: { percent: Math.round((facts.cpuPercent ?? 0) * 10) / 10, cores: settings.BERTH_CPUS },
    pids: { current: facts.pids ?? 0, limit: settings.BERTH_PIDS },
    disk: { usedBytes: facts.diskBytes ?? 0, limitBytes: facts.diskLimitBytes ?? settings.BERTH_DISK_BYTES },
    connections: facts.connections ?? 0,
    activeRuns: facts.activeRuns ?? 0,
    startedAt: facts.startedAt ?? null,
    sampledAt: facts.sampledAt ?? null,
    reason: facts.reason ?? null,
  };
}

/** Memory in use, and whether it is so much that people are warned. */
export function describeMemory(settings: Settings, usedBytes: number): Workspace["memory"] {
  const { BERTH_MEMORY_BYTES: limitBytes, BERTH_MEMORY_WARN_BYTES: warnBytes } = settings;
  return { usedBytes, limitBytes, warnBytes, warning: usedBytes > warnBytes };
}

export const runtimeName = z.enum(runtimeNames);

/** What an agent asks its user before it does it: nothing, each tool that is not allowed yet, or the plan as a whole. */
export const permissions = z.enum(["skip", "ask", "plan"]);
export type Permissions = z.infer<typeof permissions>;

/** What becomes of a turn whose container is lost: it stops, or a further run takes it up by itself. */
export const onInterruption = z.enum(["stop", "continue"]);
export type OnInterruption = z.infer<typeof onInterruption>;

const instructions = plainText.max(65_536);
const modelName = z.string().regex(/^[A-Za-z0-9._:@/[\]-]{1,100}$/, "must be the name of a model");

/** A model that the model API offers; an agent may name others too. */
export const modelChoiceSchema = z.object({ id: z.string().max(100), name: z.string().max(100) });
export type ModelChoice = z.infer<typeof modelChoiceSchema>;

export const agentSchema = z
  .object({
    id,
    name: z.string(),
    runtime: runtimeName,
    model: z.string().nullable(),
    instructions: z.string().nullable(),
    directory: z.string().nullable(),
    repository: z.string().nullable(),
    permissions,
    onInterruption,
    envKeys: z.array(z.string()),
    status: z.enum(["idle", "running"]),
    lastRunId: id.nullable(),
    createdAt: time,
    updatedAt: time,
  })
  .meta({ id: "Agent" });
export type Agent = z.infer<typeof agentSchema>;

export const createAgentBody = z.strictObject({
  name: agentName,
  runtime: runtimeName.default("claude"),
  model: modelName.nullable().default(null),
  instructions: instructions.nullable().default(null),
  directory: directoryBelow.nullable().default(null),
  repository: repositoryUrl.nullable().default(null),
  permissions: permissions.default("skip"),
  onInterruption: onInterruption.default("stop"),
});
export const updateAgentBody = z.strictObject({
  name: agentName.optional(),
  model: modelName.nullable().optional(),
  instructions: instructions.nullable().optional(),
  directory: directoryBelow.nullable().optional(),
  permissions: permissions.optional(),
  onInterruption: onInterruption.optional(),
});

/** Names that Berth or the wrapper sets itself, whatever the runtime; an agent's environment may not take them. */
const reservedEnv = /^(BERTH_.*|HOME|TMPDIR|USER|LOGNAME|LD_.*|HTTPS?_PROXY|NO_PROXY|https?_proxy|no_proxy)$/;
const envKey = z
  .string()
  .regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/, "must be a name of letters, digits and _")
  .refine((key) => !reservedEnv.test(key) && !runtimesOwnEnv.has(key), "is a name that Berth sets itself");
const envValue = plainText.max(32_768);
const bounded = <T extends z.ZodType<object>>(env: T) =>
  env
    .refine((variables) => Object.keys(variables).length <= 100, "must have at most 100 variables")
    .refine((variables) => JSON.stringify(variables).length <= 131_072, "must be at most 128 KiB in all");
/** What holds of a whole environment, whatever was changed in it. */
export const wholeEnv = bounded(z.record(z.string(), z.string()));
export const envBody = bounded(z.record(envKey, envValue));
/** Null removes. */
export const envChangeBody = bounded(z.record(envKey, envValue.nullable()));

/** The closed list of ends, in rank order: where several fit, the first wins. */
export const runReasons = [
  "cancelled",
  "timed_out",
  "log_limit",
  "budget_reached",
  "host_lost",
  "container_lost",
  "out_of_memory",
  "disk_full",
  "start_timeout",
  "model_auth",
  "model_rate_limited",
  "agent_error",
  "nonzero_exit",
  "completed",
] as const;
const runReason = z.enum(runReasons);
export type RunReason = z.infer<typeof runReason>;

/** What a run may come from: a person or program that calls the API, what its trigger's scheme says, or a run that was lost. */
export const originKind = z.enum(["api", ...Object.values(originOf), "continuation"]);
export type OriginKind = z.infer<typeof originKind>;
/** Where a run comes from; `triggerId` is null where no trigger stands behind it, nor behind the run that it goes on with. */
export const originSchema = z.object({ kind: originKind, triggerId: id.nullable() });
const usageSchema = z.object({
  inputTokens: z.int(),
  outputTokens: z.int(),
  cacheReadTokens: z.int(),
  cacheWriteTokens: z.int(),
  costUsd: z.number(),
});
export type Usage = z.infer<typeof usageSchema>;

/**
 * What a run waits for: its user's answer to the request (`requestId`, the `tool` that would be used and its `input`, null where
 * that is over 64 KiB: the run's output has it), or, not started yet, its turn.
 */
const waitingSchema = z.object({
  kind: z.enum(["permission", "question", "plan", "busy", "slots", "memory", "host"]),
  requestId: z.string().nullable(),
  tool: z.string().nullable(),
  input: z.record(z.string(), z.unknown()).nullable(),
  since: time,
});
export type Waiting = z.infer<typeof waitingSchema>;

export const runSchema = z
  .object({
    id,
    agentId: id,
    status: runStatus,
    reason: runReason.nullable(),
    trigger: originSchema,
    prompt: z.string(),
    attachments: z.array(z.string()),
    /** The run whose turn it takes up, of a continuation. */
    continues: id.nullable(),
    result: z.string().nullable(),
    exitCode: z.int().nullable(),
    usage: usageSchema,
    oomKills: z.int(),
    logBytes: z.int(),
    stderrTail: z.string().nullable(),
    waitingFor: waitingSchema.nullable(),
    createdAt: time,
    startedAt: time.nullable(),
    endedAt: time.nullable(),
  })
  .meta({ id: "Run" });
export type Run = z.infer<typeof runSchema>;

export const promptMaxBytes = 1_048_576;
const promptText = plainText.refine((text) => text.trim() !== "", "must not be blank");
export const createRunBody = z.strictObject({
  prompt: promptText,
  /** Where the run cannot start now: refuse it, or have it wait its turn. */
  ifBusy: z.enum(["refuse", "queue"]).default("refuse"),
  /** Files of the agent's own directory: images go to the model as images, others are named to the agent. */
  attachments: z.array(attachmentPath).max(20).default([]),
});
/** What may be changed of a run that waits. */
export const updateRunBody = z.strictObject({ prompt: promptText });
/** A word into a running turn. */
export const messageBody = z.strictObject({
  text: plainText.max(32_768).refine((text) => text.trim() !== "", "must not be blank"),
});
export const messageAnswer = z.object({ messageId: z.string() });
/** What a conversation takes of its model's context, as the CLI counts it. */
export const contextUseSchema = z
  .object({
    model: z.string(),
    usedTokens: z.int(),
    limitTokens: z.int(),
    parts: z.array(z.object({ name: z.string(), tokens: z.int() })),
  })
  .meta({ id: "ContextUse" });
export type ContextUse = z.infer<typeof contextUseSchema>;
/** The answer to what a run waits for; `updatedInput` takes the place of the tool's input, a question's answers in it. */
export const answerBody = z.strictObject({
  requestId: z.string().max(200),
  behavior: z.enum(["allow", "deny"]),
  message: plainText.max(10_000).optional(),
  updatedInput: z.record(z.string(), z.unknown()).optional(),
});
export type AnswerBody = z.infer<typeof answerBody>;

export const idempotencyKey = z.string().regex(/^[\x21-\x7e]{1,255}$/, "must be 1 to 255 visible ASCII characters");

/** Whether a run in this status is over. */
export const isEnded = (status: RunStatus) => status === "completed" || status === "failed" || status === "cancelled";

/** Frames of the socket `berth.v1`, host to client. */
export type ServerFrame =
  | { type: "hello"; workspace: Workspace; runs: Run[] }
  | { type: "workspace"; workspace: Workspace }
  | { type: "run"; run: Run }
  | { type: "output"; runId: string; agentId: string; offset: number; data: unknown }
  | { type: "error"; code: string; detail: string };

/** Frames of the socket `berth.v1`, client to host. */
export const clientFrame = z.strictObject({
  type: z.literal("subscribe"),
  runId: id,
  after: z.int().nonnegative().default(0),
});
export type ClientFrame = z.infer<typeof clientFrame>;
