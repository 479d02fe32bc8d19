/** What the contract's resources are made of: ids, times, texts, names and states. */
import { z } from "zod";

export const id = z.string().regex(/^[A-Za-z0-9_-]{1,40}$/, "must be an id of letters, digits, _ and -");
export const time = z.iso.datetime();

/** Text that survives UTF-8 and C strings: well-formed Unicode without NUL. */
export const plainText = z
  .string()
  .refine((text) => text.isWellFormed(), "must be well-formed Unicode")
  .refine((text) => !text.includes("\0"), "must not contain NUL characters");

export const agentName = plainText.trim().min(1).max(64);

export const runStatus = z.enum(["pending", "starting", "running", "completed", "failed", "cancelled"]);
export type RunStatus = z.infer<typeof runStatus>;
