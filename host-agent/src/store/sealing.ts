/**
 * Secrets at rest: AES-256-GCM with a key that lies in a file beside the database and never in it, so that a copied database
 * alone gives none of them away. Each is bound to its place: a sealed value that is put into another row does not open there.
 */
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { writeDurably } from "@berth/shared/node/durable-file";
import { SettingsError } from "@berth/shared/settings";

export type Sealing = ReturnType<typeof createSealing>;

const [version, algorithm, keyBytes, ivBytes, tagBytes] = ["v1.", "aes-256-gcm", 32, 12, 16] as const;

export function createSealing(key: Buffer) {
  return {
    /** Seals a text for its place, as `agents/agt_1/env`: table, row and column. */
    seal(place: string, text: string): string {
      const iv = randomBytes(ivBytes);
      const cipher = createCipheriv(algorithm, key, iv, { authTagLength: tagBytes }).setAAD(Buffer.from(place));
      const sealed = [iv, cipher.update(text, "utf8"), cipher.final(), cipher.getAuthTag()];
      return version + Buffer.concat(sealed).toString("base64url");
    },
    /** What was sealed for that place. Throws where it was sealed for another, with another key, or not at all. */
    open(place: string, sealed: string): string {
      const bytes = Buffer.from(sealed.slice(version.length), "base64url");
      const end = bytes.length - tagBytes;
      if (!sealed.startsWith(version) || end < ivBytes) throw new Error(`what is in ${place} is not sealed`);
      try {
        const iv = bytes.subarray(0, ivBytes);
        const cipher = createDecipheriv(algorithm, key, iv, { authTagLength: tagBytes }).setAAD(Buffer.from(place));
        cipher.setAuthTag(bytes.subarray(end));
        return cipher.update(bytes.subarray(ivBytes, end), undefined, "utf8") + cipher.final("utf8");
      } catch (error) {
        throw new Error(`what is sealed in ${place} does not open with this key`, { cause: error });
      }
    },
  };
}

/** The key in this file, for its owner alone; made here unless something is sealed with it already. */
export function openKey(file: string, isInUse: boolean): Buffer {
  if (!statSync(file, { throwIfNoEntry: false })) {
    if (isInUse)
      throw new SettingsError(
        `The key file ${file} is missing: put it back from the backup; the values that host.db has sealed with it open with no other.`,
      );
    writeDurably(file, `${randomBytes(keyBytes).toString("base64url")}\n`);
  }
  const key = Buffer.from(readFileSync(file, "utf8").trim(), "base64url");
  if (key.length !== keyBytes) throw new SettingsError(`The key file ${file} is damaged: put it back from the backup.`);
  return key;
}
