/**
 * What `changes.ts` has git say, as the contract's list. The agent can speak in git's place: what is said is bounded before, is read a
 * piece at a time, and names nothing but what git is asked about again.
 */
import { AppError } from "@berth/shared/errors";
import { type Change, changesMax, type Changes } from "@berth/shared/files";

/** A change, with what it was and what it is as entries of an index of git's: none where there was or is nothing. */
export interface Found {
  change: Change;
  before: Buffer;
  after: Buffer;
}
interface List {
  /** What git does not know yet, until it was among the differences; by its bytes, as `found`. */
  unknown: Map<string, Buffer>;
  found: Map<string, Found>;
  namesBytes: number;
  isCut: boolean;
}
type Next = () => Promise<Buffer | null>;

const pathMaxBytes = 4096;
/** Of all names together, which JSON may escape sixfold. */
const namesMaxBytes = 2 ** 20;
/** So many records are one piece of work. */
const recordsAtOnce = 1000;
const [slash, colon] = [0x2f, 0x3a];
/** The exit code of the script where there is no repository. */
const noRepository = 3;

/** `home` is the agent's own directory; `turn` resolves when a piece of work may be done. Throws `host_unavailable` for what git never says. */
export async function readChanges(
  said: Buffer,
  home: string,
  turn: () => Promise<void>,
): Promise<{ changes: Changes; found: Map<string, Found> }> {
  const { body, exitCode } = splitExit(said);
  const records = split(body, turn);
  const next: Next = async () => (await records.next()).value ?? null;
  const list: List = { unknown: new Map(), found: new Map(), namesBytes: 0, isCut: false };
  const head = [await next(), await next(), await next()].map((record) => record ?? none);
  if (head.some(({ length }) => length > pathMaxBytes)) misread();
  const [top, branch, commit] = head.map(textOf);
  if (!/^([0-9a-f]{40}|[0-9a-f]{64})?$/.test(commit!)) misread();
  await readUnknown(next, list);
  await readDifferences(next, list);
  for (const [key, name] of list.unknown) list.found.set(key, unlisted(name, commit!.length || 40));
  const found = [...list.found.values()];
  const reason = list.isCut ? "too_many" : reasonOf(exitCode);
  const root = top === home ? "" : top!.startsWith(`${home}/`) ? top!.slice(home.length + 1) : null;
  const items = found.map(({ change }) => change);
  const changes = { branch: branch || null, root, items, isComplete: reason === null, reason };
  return { changes, found: new Map(found.map((one) => [one.change.path, one])) };
}

/** What was said, and the exit code at its end; null where that did not come. */
export function splitExit(said: Buffer): { body: Buffer; exitCode: number | null } {
  const [end, code] = /\0=(\d{1,3})\0$/.exec(said.toString("latin1", Math.max(0, said.length - 6))) ?? [];
  return end === undefined
    ? { body: said, exitCode: null }
    : { body: said.subarray(0, said.length - end.length), exitCode: Number(code) };
}

/** What ends with NUL: not a last one that was cut. */
async function* split(said: Buffer, turn: () => Promise<void>): AsyncGenerator<Buffer, undefined> {
  let [at, end, count] = [0, said.indexOf(0), 0];
  for (; end >= 0; at = end + 1, end = said.indexOf(0, at)) {
    if (count++ % recordsAtOnce === 0) await turn();
    yield said.subarray(at, end);
  }
}

async function readUnknown(next: Next, list: List): Promise<void> {
  for (let name = await next(); name && name.length > 0; name = await next())
    if (hasRoom(list, name)) list.unknown.set(keyOf(name), name);
}

/** What differs, then by how many lines. */
async function readDifferences(next: Next, list: List): Promise<void> {
  for (let record = await next(); record; record = await next()) {
    const line = record.toString("latin1");
    if (record[0] === colon) await readDifference(next, list, line);
    else await readCount(next, list, line);
  }
}

const statuses: Record<string, Change["status"]> = { A: "added", D: "deleted", R: "renamed" };

async function readDifference(next: Next, list: List, line: string): Promise<void> {
  const parsed = /^:(\d{6}) (\d{6}) ([0-9a-f]{40,64}) [0-9a-f]{40,64} ([ADMRTU])\d{0,3}$/.exec(line) ?? misread();
  const [, modeBefore = "", modeAfter = "", oid = "", letter = ""] = parsed;
  const from = await next();
  const name = letter === "R" ? await next() : from;
  if (!from || !name) return;
  const key = keyOf(name);
  const isUnknown = list.unknown.delete(key);
  if (!isUnknown && !list.found.has(key) && !hasRoom(list, name, letter === "R" ? from : none)) return;
  const status = statuses[letter] ?? "modified";
  const change: Change = {
    ...untracked(name),
    ...(letter === "R" && { from: textOf(from) }),
    ...(!(isUnknown && status === "added") && { status }),
  };
  // What it is now git asks the file itself: the index may name any object.
  const [before, after] = [entryOf(modeBefore, oid, from), entryOf(modeAfter, "1".repeat(oid.length), name)];
  list.found.set(key, { change, before, after });
}

async function readCount(next: Next, { found }: List, line: string): Promise<void> {
  const [begin, added = "", removed = ""] = /^(\d{1,9}|-)\t(\d{1,9}|-)\t/.exec(line) ?? misread();
  // Of one with another name both names follow.
  if (line.length === begin.length) await next();
  const name = line.length === begin.length ? await next() : null;
  const change = found.get(name ? keyOf(name) : line.slice(begin.length))?.change;
  if (!change) return;
  change.isBinary = added === "-";
  change.additions = Number(added) || 0;
  change.deletions = Number(removed) || 0;
}

/** Whether one more is told. */
function hasRoom(list: List, name: Buffer, from = none): boolean {
  if (name.length > pathMaxBytes || from.length > pathMaxBytes) misread();
  list.namesBytes += name.length + from.length;
  const fits = list.unknown.size + list.found.size < changesMax && list.namesBytes < namesMaxBytes;
  list.isCut ||= !fits;
  return fits;
}

/** `timeout`'s own codes, and that of a program that it had to kill. */
function reasonOf(exitCode: number | null): Changes["reason"] {
  if (exitCode === 0) return null;
  if (exitCode === null) return "too_many";
  if (exitCode === noRepository) return "no_repository";
  return exitCode === 124 || exitCode === 137 ? "took_too_long" : "unreadable";
}

const untracked = (name: Buffer): Change => ({
  path: textOf(name),
  from: null,
  status: "untracked",
  additions: null,
  deletions: null,
  isBinary: false,
});

/** What git did not come to. A repository in this one it names, and does not look into. */
const unlisted = (name: Buffer, oidLength: number): Found => ({
  change: untracked(name),
  before: none,
  after: name.at(-1) === slash ? none : entryOf("100644", "1".repeat(oidLength), name),
});

const none: Buffer = Buffer.alloc(0);
/** Of bytes, for names are bytes. */
const keyOf = (name: Buffer) => name.toString("latin1");
const textOf = (name: Buffer) => new TextDecoder().decode(name);
const entryOf = (mode: string, oid: string, name: Buffer) =>
  mode === "000000" ? none : Buffer.concat([Buffer.from(`${mode} ${oid}\t`), name, Buffer.from([0])]);

function misread(): never {
  throw new AppError("host_unavailable", "Git's list of changes did not come whole: try again.", { retryAfter: 2 });
}
