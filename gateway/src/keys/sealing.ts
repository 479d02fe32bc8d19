/** Secrets at rest: sealed with keys that are derived from the signing keys, so that a copied database alone gives none of them. */
import { base64url } from "jose";
import type { Keyring } from "./keyring.ts";

const ivBytes = 12;

/** Seals a text for this owner (a row's id): `kid.iv.ciphertext` of AES-256-GCM. */
export async function seal({ kid, sealingKeys }: Keyring, owner: string, text: string): Promise<string> {
  const iv = crypto.getRandomValues(new Uint8Array(ivBytes));
  const sealed = await crypto.subtle.encrypt(cipher(iv, owner), sealingKeys.get(kid)!, new TextEncoder().encode(text));
  return [kid, base64url.encode(iv), base64url.encode(new Uint8Array(sealed))].join(".");
}

/** What was opened last, as long as its keys are good: who reads this memory has those too. */
const opened = new WeakMap<Keyring["sealingKeys"], Map<string, string>>();
const mostOpened = 1000;

/** Opens what `seal` made for the same owner. Rejects when the key is not in the keyring or the row was tampered with. */
export async function unseal({ sealingKeys }: Keyring, owner: string, sealed: string): Promise<string> {
  const known = opened.get(sealingKeys) ?? new Map<string, string>();
  opened.set(sealingKeys, known);
  const whole = `${owner} ${sealed}`;
  const text = known.get(whole) ?? (await open(sealingKeys, owner, sealed));
  known.delete(whole);
  known.set(whole, text);
  if (known.size > mostOpened) known.delete(known.keys().next().value!);
  return text;
}

async function open(keys: Keyring["sealingKeys"], owner: string, sealed: string): Promise<string> {
  const [kid = "", iv = "", text = ""] = sealed.split(".");
  const key = keys.get(kid);
  if (!key) throw new Error(`the key ${kid} that sealed a secret is not in the keyring`);
  const bytes = (part: string) => base64url.decode(part) as Uint8Array<ArrayBuffer>;
  return new TextDecoder().decode(await crypto.subtle.decrypt(cipher(bytes(iv), owner), key, bytes(text)));
}

const cipher = (iv: Uint8Array<ArrayBuffer>, owner: string) => ({
  name: "AES-GCM",
  iv,
  additionalData: new TextEncoder().encode(owner),
});
