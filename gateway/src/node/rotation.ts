/**
 * Rotation of the signing key while everything runs: the command changes the key file, the gateway follows it, and hosts hear
 * of the public halves with the answers to their reports.
 */
import { writeDurably } from "@berth/shared/node/durable-file";
import type { Settings } from "@berth/shared/settings";
import { sleep } from "@berth/shared/wait";
import { sql } from "drizzle-orm";
import type { JWK } from "jose";
import { statSync } from "node:fs";
import { isoTime } from "../data/database.ts";
import { liveMs } from "../hosts/placement.ts";
import { createSigningJwk, importKeyring, type Keyring } from "../keys/keyring.ts";
import { sealAnew } from "../webhooks/triggers.ts";
import { readSigningKeys, signingKeysPath, type Data } from "./data.ts";
import { createNodeSigner } from "./digests.ts";

/** How soon a gateway that runs has taken a changed file. */
export const followMs = 1000;
const hostsMs = 20_000;

/** Makes the work of a timer: it replaces what is in the keyring when the file has changed. */
export function followKeys(settings: Settings, keyring: Keyring): () => Promise<void> {
  const path = signingKeysPath(settings);
  const version = () => statSync(path).mtimeMs;
  let taken = version();
  return async () => {
    const found = version();
    if (found === taken) return;
    Object.assign(keyring, await importKeyring(readSigningKeys(path), createNodeSigner));
    taken = found;
  };
}

/**
 * Puts a new key first. It is published before it signs, until all hosts that are up know it; a host that is away meanwhile
 * asks for it at the first call. What earlier keys have signed stays good. Answers the new key's id.
 */
export async function rotateKey(settings: Settings, data: Data): Promise<string> {
  const path = signingKeysPath(settings);
  const earlier = readSigningKeys(path);
  const fresh = await createSigningJwk();
  write(path, [...earlier, fresh]);
  await untilHostsKnow(data, Date.now());
  write(path, [fresh, ...earlier]);
  return (await importKeyring([fresh])).kid;
}

/** Ends all keys but the one that signs, and with them what they have signed; secrets that they sealed are sealed anew. Answers how many keys went. */
export async function retireKeys(settings: Settings, data: Data): Promise<number> {
  const path = signingKeysPath(settings);
  const [first, ...others] = readSigningKeys(path);
  Object.assign(data.keyring, await importKeyring([first!, ...others], createNodeSigner));
  // A gateway that runs seals with the first key already: what is sealed meanwhile is not overwritten.
  await sleep(others.length > 0 ? 2 * followMs : 0);
  const all = { ...data, now: Date.now };
  // A trigger's may be given anew meanwhile: the one before becomes its previous one.
  while ((await sealAnew(all, Number.MAX_SAFE_INTEGER)) > 0);
  write(path, [first!]);
  return others.length;
}

const write = (path: string, keys: JWK[]) => writeDurably(path, JSON.stringify({ keys }));

/** Waits until each host that is up has reported once more, to a gateway that has the key; for some seconds at most. */
async function untilHostsKnow({ db }: Data, publishedAt: number): Promise<void> {
  const since = isoTime(publishedAt + 2 * followMs);
  for (const end = performance.now() + hostsMs; performance.now() < end; await sleep(200)) {
    const live = isoTime(Date.now() - liveMs);
    const [late] = await db.all(
      sql`select 1 from hosts where last_report_at >= ${live} and last_report_at < ${since} and removed_at is null limit 1`,
    );
    if (!late) return;
  }
}
