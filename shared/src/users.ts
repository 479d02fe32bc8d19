/** Users, their API tokens, what they use, and who is calling, as the contract shows and accepts them. */
import { z } from "zod";
import { workspaceSchema } from "./resources.ts";
import type { Settings } from "./settings.ts";
import { id, plainText, time } from "./values.ts";

const userRole = z.enum(["user", "admin"]);
export const userSchema = z
  .object({ id, name: z.string(), role: userRole, disabled: z.boolean(), createdAt: time })
  .meta({ id: "User" });
export type User = z.infer<typeof userSchema>;

const [mib, gib] = [2 ** 20, 2 ** 30];
/** What a user may have in place of the settings, which have the same bounds; null is the setting. */
const userLimits = z.object({
  agents: z.int().min(1).max(1000).nullable(),
  concurrentRuns: z.int().min(1).max(100).nullable(),
  memoryBytes: z
    .int()
    .min(64 * mib)
    .max(4096 * gib)
    .nullable(),
  cpus: z.number().min(0.05).max(1024).nullable(),
  diskBytes: z
    .int()
    .min(32 * mib)
    .max(32_768 * gib)
    .nullable(),
  dailyBudgetUsd: z.number().min(0).max(1_000_000).nullable(),
});
export type UserLimits = z.infer<typeof userLimits>;
export const ownLimits = userLimits.partial();
export type OwnLimits = z.infer<typeof ownLimits>;
export const noLimits: UserLimits = {
  agents: null,
  concurrentRuns: null,
  memoryBytes: null,
  cpus: null,
  diskBytes: null,
  dailyBudgetUsd: null,
};

/** The settings as they are for a user with these limits; of their memory the same share is warned of. */
export function settingsFor(settings: Settings, own: OwnLimits): Settings {
  const memoryBytes = own.memoryBytes ?? settings.BERTH_MEMORY_BYTES;
  const share = memoryBytes / settings.BERTH_MEMORY_BYTES;
  return {
    ...settings,
    BERTH_MAX_AGENTS: own.agents ?? settings.BERTH_MAX_AGENTS,
    BERTH_MAX_RUNS: own.concurrentRuns ?? settings.BERTH_MAX_RUNS,
    BERTH_MEMORY_BYTES: memoryBytes,
    BERTH_MEMORY_WARN_BYTES: Math.round(settings.BERTH_MEMORY_WARN_BYTES * share),
    BERTH_CPUS: own.cpus ?? settings.BERTH_CPUS,
    BERTH_DISK_BYTES: own.diskBytes ?? settings.BERTH_DISK_BYTES,
    BERTH_DAILY_BUDGET_USD: own.dailyBudgetUsd ?? settings.BERTH_DAILY_BUDGET_USD,
  };
}

/** What an admin sees of a user beside that. `agents`: how many there are now. */
export const listedUserSchema = userSchema
  .extend({ lastSignInAt: time.nullable(), hostId: id.nullable(), agents: z.int(), limits: userLimits })
  .meta({ id: "ListedUser" });
export type ListedUser = z.infer<typeof listedUserSchema>;

export const userName = plainText.trim().min(1).max(64);
export const createUserBody = z.strictObject({ name: userName, role: userRole.default("user") });
export const updateUserBody = z
  .strictObject({
    disabled: z.boolean().optional(),
    role: userRole.optional(),
    /** With `disabled: true`: their runs are cancelled and their workspace stops, on a host that is away as soon as it is back. */
    cancelRuns: z.boolean().optional(),
    /** What is named is set; null is the setting again. */
    limits: ownLimits.strict().optional(),
  })
  .refine((change) => !change.cancelRuns || change.disabled === true, {
    path: ["cancelRuns"],
    message: "goes with disabled: true alone",
  });
export type UserChange = z.infer<typeof updateUserBody>;

export const signInLinkSchema = z.object({ url: z.string(), expiresAt: time });
export type SignInLink = z.infer<typeof signInLinkSchema>;

export const tokenSchema = z
  .object({ id, name: z.string(), createdAt: time, expiresAt: time, lastUsedAt: time.nullable() })
  .meta({ id: "Token" });
export type Token = z.infer<typeof tokenSchema>;
/** A new token with its JWT, which no later answer shows. */
export const createdTokenSchema = tokenSchema.extend({ token: z.string() });
export type CreatedToken = z.infer<typeof createdTokenSchema>;

const day = 24 * 3600;
export const createTokenBody = z.strictObject({
  name: plainText.trim().min(1).max(64),
  expiresInSeconds: z
    .int()
    .min(1)
    .max(366 * day)
    .default(30 * day),
});

/** Whether git finds anything in it: punctuation at both ends is left out, and without the rest nothing can be committed. */
export const isGitPart = (text: string) => /[^\s.,:;"\\']/u.test(text);
/** One line that git takes as a part of an author: without what it leaves out. */
const gitPart = plainText
  .trim()
  .min(1)
  .max(200)
  .regex(/^[^\p{Cc}<>]*$/u, "must be one line without < and >")
  .refine(isGitPart, "must have more than punctuation");
/** Author and committer in the user's workspace, where a repository names none; null is the user's name. */
export const updateMeBody = z.strictObject({
  gitName: gitPart.nullable().optional(),
  gitEmail: gitPart
    .regex(/^[^\s@]+@[^\s@]+$/, "must be an e-mail address")
    .nullable()
    .optional(),
});
export type MeChange = z.infer<typeof updateMeBody>;

/** Who is calling, and what they may have. */
export const meSchema = z.object({
  user: z.object({
    id,
    name: z.string(),
    role: userRole,
    createdAt: time,
    gitName: z.string().nullable(),
    gitEmail: z.string().nullable(),
  }),
  role: userRole,
  /** Their own, or the settings'. */
  limits: z.object({
    agents: z.int(),
    concurrentRuns: z.int(),
    memoryBytes: z.int(),
    cpus: z.number(),
    diskBytes: z.int(),
    /** Null where none is set. */
    dailyBudgetUsd: z.number().nullable(),
  }),
  workspace: workspaceSchema,
  /** The built-in demo model answers instead of a real one. */
  demoModel: z.boolean(),
  /** What the user must be told until it is dismissed, such as that a host was removed with their files. */
  notice: z.string().nullable(),
});
export type Me = z.infer<typeof meSchema>;

const sums = { runs: z.int(), tokens: z.int(), costUsd: z.number() };
/** UTC; a day on which nothing was sent is left out. */
const dayOfUse = z.object({ day: z.iso.date(), ...sums });

export const useSchema = z.object({
  since: z.iso.date(),
  days: z.array(dayOfUse),
  /** `name` of one that was deleted long ago is null. */
  agents: z.array(z.object({ agentId: id, name: z.string().nullable(), ...sums })),
  /** In US dollars; null where none is set. */
  budget: z.object({
    runUsd: z.number().nullable(),
    dailyUsd: z.number().nullable(),
    leftTodayUsd: z.number().nullable(),
  }),
});
export type Use = z.infer<typeof useSchema>;

export const allUseSchema = z.object({
  since: z.iso.date(),
  days: z.array(dayOfUse),
  users: z.array(z.object({ userId: id, ...sums })),
});
export type AllUse = z.infer<typeof allUseSchema>;
