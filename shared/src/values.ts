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

/** A path below the agent's own directory. What it leads to is the agent's affair: it is entered under its uid alone. */
export const directoryBelow = plainText
  .max(1024)
  .refine(isBelow, "must be a path below the agent's own directory, such as web/app, and none of .berth");

/** A file that a message is about, as the files of its agent are named: below the agent's own directory. */
export const attachmentPath = plainText
  .max(1024)
  .refine(isBelow, "must be the path of a file below the agent's own directory, such as notes/plan.pdf");

/** The segments of a path that no shell, line or listing reads as anything else. */
function isBelow(path: string): boolean {
  const segments = path.split("/");
  const isName = (name: string) => !/^\.{0,2}$|[\p{Cc}]/u.test(name) && new TextEncoder().encode(name).length <= 255;
  return segments.every(isName) && segments[0] !== ".berth";
}

/** An address that git clones. A token does not belong into it: whoever reads the repository's configuration has that. */
export const repositoryUrl = z
  .string()
  .max(2048)
  .refine(
    (text) => /^https:\/\/[\w.~:/@!$&'()*+,;=%[\]-]+$/.test(text) && URL.canParse(text),
    "must be an https:// address of a git repository",
  )
  .refine(
    (text) => !hasCredentials(text),
    "must have no user name and no token in it: keep them as a git credential of its host",
  )
  .refine((text) => nameOfRepository(text) !== null, "must end with the name of a repository");

function hasCredentials(text: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : null;
  return url !== null && `${url.username}${url.password}` !== "";
}

/** The directory that git would clone it into; null where its address names none. */
export function nameOfRepository(url: string): string | null {
  try {
    const last = decodeURIComponent(new URL(url).pathname.split("/").filter(Boolean).at(-1) ?? "");
    return directoryBelow.safeParse(last.replace(/\.git$/, "").replaceAll("/", "-")).data ?? null;
  } catch {
    return null;
  }
}
