/**
 * What the two processes say to each other. Gateway → host: `/v1/...` of the host agent, with a JWT of the gateway
 * (`aud` = host id, `sub` = user id). Host → gateway: join and report, with a JWT of the host's own key.
 */
import { z } from "zod";
import {
  messageBody,
  onInterruption,
  permissions,
  runSchema,
  originSchema,
  runtimeName,
  workspaceSchema,
} from "./resources.ts";
import { ownLimits } from "./users.ts";
import { attachmentPath, id, time } from "./values.ts";

/** Raised with every incompatible change of this file; sent as the header `berth-protocol` and in every report. */
export const protocolVersion = 3;
export const protocolHeader = "berth-protocol";

/** Who must be upgraded where host and gateway speak different protocols, in one sentence; null where they do not. */
export function tellMismatch(host: number, gateway: number): string | null {
  if (host === gateway) return null;
  const [older, newer] = host < gateway ? ["host agent", "gateway"] : ["gateway", "host agent"];
  return `The host speaks protocol ${host} and the gateway ${gateway}: upgrade the ${older} to the ${newer}'s version.`;
}

/** Audience of the JWT that a host signs for the gateway. */
export const gatewayAudience = "berth:gateway";

/**
 * Claims of the JWT a gateway sends to a host, besides iss, aud (host id), sub (user id), iat and exp (30 s).
 * `tid` and `texp` are the id and the expiry (seconds) of the user's own credential: what a long stream is held against.
 */
export const hostClaims = z.object({
  sub: id,
  tid: z.string().max(200).nullable(),
  texp: z.number(),
  /** Who the user is to git; absent where the gateway speaks by itself. */
  git: z.object({ name: z.string(), email: z.string() }).optional(),
  /** What is of the user's own in place of this host's settings; absent from an older gateway. */
  limits: ownLimits.optional(),
});
export type HostClaims = z.infer<typeof hostClaims>;

/**
 * What ties that JWT to its one call, so that who reads it on the way can make no other of it: method, path and query, and the
 * SHA-256 (hex) of the whole body. Null is a body that streams or an upgrade: there `jti` counts once.
 */
export const callClaims = hostClaims.extend({ jti: id, call: z.string(), body: z.string().nullable() });
export type CallClaims = z.infer<typeof callClaims>;
export const nameCall = (method: string, { pathname, search }: URL) => `${method} ${pathname}${search}`;

/** The whole of what a host must know of an agent to run it; a host refuses a version older than the one it has. */
export const agentSpec = z.object({
  id,
  version: z.int(),
  name: z.string(),
  runtime: runtimeName,
  model: z.string().nullable(),
  instructions: z.string().nullable(),
  /** Where it works below its own directory. */
  directory: z.string().nullable(),
  /** What the first run clones, and where it does. */
  repository: z.string().nullable(),
  repositoryDirectory: z.string().nullable(),
  /** Absent from an older gateway: `skip`. */
  permissions: permissions.optional(),
  /** Absent from an older gateway: `stop`. */
  onInterruption: onInterruption.optional(),
});
export type AgentSpec = z.infer<typeof agentSpec>;

/** An agent of which a host knows the id alone: a shell and nothing more, older than whatever the gateway says of it. */
export const unseenAgent = (agentId: string): AgentSpec => ({
  id: agentId,
  version: 0,
  name: "",
  runtime: "shell",
  model: null,
  instructions: null,
  directory: null,
  repository: null,
  repositoryDirectory: null,
});

/** `POST /v1/runs` of the host. The id is chosen by the gateway; the host looks it up before it admits. `payload` is bytes in base64url. */
export const startRunBody = z.object({
  run: z.object({
    id,
    trigger: originSchema,
    prompt: z.string(),
    /** Absent without any, and from an older gateway. */
    attachments: z.array(attachmentPath).max(20).optional(),
    payload: z.base64url().nullable(),
  }),
  agent: agentSpec,
});
export type StartRunBody = z.infer<typeof startRunBody>;

/**
 * A run as a host tells it: the contract's object, whose it is, and the host's revision of it. The prompt is the gateway's
 * own word, and long: a report has it only where the gateway may never have held the run, an answer never.
 */
const reportedRun = runSchema.extend({
  userId: id,
  rev: z.int(),
  prompt: z.string().optional(),
  /** Absent from an older host, as what follows. */
  waitingFor: runSchema.shape.waitingFor.optional(),
  attachments: runSchema.shape.attachments.optional(),
  continues: runSchema.shape.continues.optional(),
});
export type ReportedRun = z.infer<typeof reportedRun>;

/** A host's answer that carries runs: the gateway applies them to its copy as it would a report's. */
export const runAnswer = z.object({ epoch: id, run: reportedRun });
export type RunAnswer = z.infer<typeof runAnswer>;

/** `PUT /v1/agents/:id/env` of the host, and `PATCH`: what is named is set, or removed by null. */
export const setEnvBody = z.object({ agent: agentSpec, env: z.record(z.string(), z.string().nullable()) });
/** `POST /v1/runs/:id/messages` of the host; the id is chosen by the gateway, and the same one again says nothing more. */
export const hostMessageBody = messageBody.extend({ messageId: z.uuid() });

/** What a host tells of an agent: the names of its variables (values never leave the host). */
export const reportedAgent = z.object({
  id,
  userId: id,
  envKeys: z.array(z.string()),
  rev: z.int(),
  /** True once the host has dropped the agent and keeps its tombstone alone: the gateway stops telling the deletion. */
  deleted: z.boolean().optional(),
});
export type ReportedAgent = z.infer<typeof reportedAgent>;
export const agentAnswer = z.object({ epoch: id, agent: reportedAgent });

const reportedWorkspace = workspaceSchema.extend({ userId: id });
export type ReportedWorkspace = z.infer<typeof reportedWorkspace>;

/** Ends of runs at a limit that their user can meet again. */
export const limitReasons = ["timed_out", "log_limit", "budget_reached", "out_of_memory", "disk_full"] as const;

/**
 * What an admin should look at: a user's program that could not be ended, or a limit that a user's runs met ten times within an
 * hour (`count` is at most 100). It goes an hour after the last time.
 */
const alert = z.object({
  kind: z.enum(["unended", "run_limit", ...limitReasons]),
  userId: id,
  count: z.int(),
  lastAt: time,
});
export type Alert = z.infer<typeof alert>;

/** Load of the machine. `demoModel` = the built-in demo model answers here. */
export const hostLoad = z.object({
  workspaces: z.int(),
  maxWorkspaces: z.int(),
  activeRuns: z.int(),
  memoryTotalBytes: z.int(),
  memoryAvailableBytes: z.int(),
  diskAvailableBytes: z.int(),
  cpus: z.int(),
  demoModel: z.boolean(),
  /** Why it can start no workspace now, in a sentence for its operator. */
  problem: z.string().nullable().default(null),
  alerts: z.array(alert).max(20).default([]),
});
export type HostLoad = z.infer<typeof hostLoad>;

/**
 * `POST /internal/hosts/report`. `epoch` names the host's database, `seq` grows by one a report, `rev` is the revision up
 * to which the receiver is complete once it has applied this report. `runs` and `agents` are what changed after the revision
 * that the last answer acknowledged, oldest first.
 */
export const reportBody = z.object({
  protocol: z.int(),
  version: z.string(),
  epoch: id,
  seq: z.int(),
  /**
   * The revision that the last answer acknowledged for this epoch, 0 without one: `runs` and `agents` begin after it.
   * A gateway that holds less (restored from a copy) acknowledges what it has, and is told the rest again.
   */
  since: z.int().nonnegative(),
  /**
   * The number of the last report that was answered, where `workspaces` are those that changed after it; 0 where they are all.
   * A gateway that holds a lower one is an older copy: it takes the host as not heard, and acknowledges no report, so that it
   * is told all.
   */
  after: z.int().nonnegative().default(0),
  rev: z.int(),
  /** Whether nothing after `rev` is left to tell: what the copy has of another epoch then, this host has forgotten. */
  complete: z.boolean().default(false),
  url: z.url(),
  load: hostLoad,
  workspaces: z.array(reportedWorkspace),
  runs: z.array(reportedRun),
  agents: z.array(reportedAgent),
  /** How long the gateway took to answer the report before this one; null before there was one. */
  answerMs: z.number().nonnegative().nullable().default(null),
  /** Of the deleted users whom the last answer named those of whom nothing is left here. */
  goneUsers: z.array(id).max(200).default([]),
});
export type ReportBody = z.input<typeof reportBody>;

/** The answer to a report. Revocations are those of the last hour or so: `tokens` by id, `users` disabled. */
export const reportAnswer = z.object({
  protocol: z.int(),
  time,
  /** `seq` is that of the last report, 0 where that told changes of what this copy lacks; absent from an older gateway. */
  ack: z.object({ epoch: id, rev: z.int(), seq: z.int().optional() }),
  revokedTokens: z.array(z.string()),
  disabledUsers: z.array(id),
  /** Those of the disabled users whose runs end and whose workspaces stop. */
  stoppedUsers: z.array(id).default([]),
  /** Users deleted at the gateway: whatever this host has of them goes, files and runs included; some at a time. */
  deletedUsers: z.array(id).default([]),
  /** Agents deleted at the gateway: of the host's users until it has dropped them, of others as often as it tells of one. */
  deletedAgents: z.array(id),
  /**
   * Runs in progress that the gateway holds of `ack.epoch`, some at a time: whoever does not know one of them has forgotten it,
   * by an older copy of its database.
   */
  heldRuns: z.array(id).default([]),
  /** Of the runs in progress that were told, those that were cancelled at the gateway when no host had them. */
  cancelledRuns: z.array(id).default([]),
  /** For how many milliseconds a host gathers changes before it tells them: a busy gateway asks for more. An end is told at once. */
  gatherMs: z.number().optional(),
  /** The gateway's public keys: a host takes these and no others, so that a key that is retired ends with the next report. */
  jwks: z.object({ keys: z.array(z.looseObject({ kid: z.string() })).min(1) }).optional(),
});
export type ReportAnswer = z.infer<typeof reportAnswer>;

/** `POST /internal/hosts/join`: the token is used once; `publicKey` is the host's Ed25519 key as a JWK. */
export const joinBody = z.object({
  protocol: z.int(),
  token: z.string().max(200),
  name: z.string().min(1).max(100),
  url: z.url(),
  publicKey: z.object({ kty: z.literal("OKP"), crv: z.literal("Ed25519"), x: z.string().max(100) }),
});
export type JoinBody = z.infer<typeof joinBody>;
export const joinAnswer = z.object({ hostId: id, issuer: z.string() });
