/** Hosts as admins see them. */
import { z } from "zod";
import { hostLoad } from "./host-api.ts";
import { id, time } from "./values.ts";

export const hostSchema = z
  .object({
    id,
    name: z.string(),
    url: z.string(),
    status: z.enum(["live", "draining", "down"]),
    /** Why no new user is placed here, in one sentence; null while it takes some. */
    reason: z.string().nullable(),
    draining: z.boolean(),
    users: z.int(),
    /** Deleted users of whom it still has files or runs. */
    leaving: z.int(),
    version: z.string().nullable(),
    protocol: z.int().nullable(),
    load: hostLoad.nullable(),
    createdAt: time,
    lastReportAt: time.nullable(),
  })
  .meta({ id: "Host" });
export type Host = z.infer<typeof hostSchema>;

/** A minute, as the first report in it told of a host; or the sums over all, and their slowest answer. */
const minute = z.object({
  at: time,
  hosts: z.int(),
  workspaces: z.int(),
  activeRuns: z.int(),
  memoryUsedBytes: z.int(),
  diskAvailableBytes: z.int(),
  /** The longest that the gateway took to answer a report; null where no host could tell yet. */
  answerMs: z.number().nullable(),
});
/** The last 60 whole minutes, oldest first; one in which nothing was reported is left out. */
export const healthSchema = z.object({ since: time, minutes: z.array(minute) }).meta({ id: "Health" });
export type Health = z.infer<typeof healthSchema>;

/** A token with which one host joins, and the command for the new machine. */
export const joinTokenSchema = z.object({ token: z.string(), expiresAt: time, command: z.string() });
export type JoinToken = z.infer<typeof joinTokenSchema>;
