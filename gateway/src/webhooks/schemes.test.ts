import { createHmac } from "node:crypto";
import { sign } from "@octokit/webhooks-methods";
import * as fc from "fast-check";
import { Webhook } from "standardwebhooks";
import { describe, expect, test } from "vitest";
import type { SenderScheme } from "@berth/shared/webhooks";
import { webDigests } from "../keys/digests.ts";
import { createSecret, verifyWebhook } from "./schemes.ts";

const now = Date.now();
const body = '{"type":"order.paid","text":"grüße 🙂"}';
const secrets = { standard: createSecret("standard"), github: createSecret("github"), token: createSecret("token") };
const other = { standard: createSecret("standard"), github: createSecret("github"), token: createSecret("token") };

type Headers_ = Record<string, string>;
const verify = (
  scheme: SenderScheme,
  headers: Headers_,
  content: string | Uint8Array = body,
  valid = [secrets[scheme]],
) => verifyWebhook(webDigests, scheme, valid, { headers: new Headers(headers), body: bytesOf(content) }, now);
const bytesOf = (content: string | Uint8Array) =>
  typeof content === "string" ? new TextEncoder().encode(content) : content;

function standard(changes: { id?: string; at?: number; secret?: string; content?: string } = {}): Headers_ {
  const { id = "msg_1", at = now, secret = secrets.standard, content = body } = changes;
  const signature = new Webhook(secret).sign(id, new Date(at), content);
  return { "webhook-id": id, "webhook-timestamp": String(Math.floor(at / 1000)), "webhook-signature": signature };
}
const github = async (secret = secrets.github, content = body): Promise<Headers_> => ({
  "x-github-delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
  "x-hub-signature-256": await sign(secret, content),
});

describe("standard", () => {
  test("takes what the reference library signed, and the library takes our secret", async () => {
    expect(secrets.standard).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    expect(await verify("standard", standard())).toEqual({ externalId: "msg_1" });
    new Webhook(secrets.standard).verify(body, standard());
  });

  test("takes any of several signatures and of several secrets", async () => {
    const foreign = standard({ secret: other.standard })["webhook-signature"];
    const own = standard();
    const several = { ...own, "webhook-signature": `v1a,AAAA ${foreign} ${own["webhook-signature"]}` };
    expect(await verify("standard", several)).not.toBeNull();
    expect(await verify("standard", own, body, [other.standard, secrets.standard])).not.toBeNull();
  });

  test("signs the bytes, not the text", async () => {
    const binary = Uint8Array.from({ length: 256 }, (_, at) => at);
    const key = Uint8Array.from(atob(secrets.standard.slice(6)), (c) => c.charCodeAt(0));
    const hmac = await crypto.subtle.importKey("raw", key, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
    const at = String(Math.floor(now / 1000));
    const signed = new Uint8Array(
      await crypto.subtle.sign("HMAC", hmac, Buffer.concat([Buffer.from(`m.${at}.`), binary])),
    );
    const headers = {
      "webhook-id": "m",
      "webhook-timestamp": at,
      "webhook-signature": `v1,${Buffer.from(signed).toString("base64")}`,
    };
    expect(await verify("standard", headers, binary)).toEqual({ externalId: "m" });
  });

  test.each([
    ["another secret", standard({ secret: other.standard })],
    ["another body", standard({ content: `${body} ` })],
    ["another id", { ...standard(), "webhook-id": "msg_2" }],
    ["another time", { ...standard(), "webhook-timestamp": String(Math.floor(now / 1000) - 1) }],
    ["a time 301 s ago", standard({ at: now - 301_000 })],
    ["a time 302 s ahead", standard({ at: now + 302_000 })],
    ["a time that is no number", { ...standard(), "webhook-timestamp": `${Math.floor(now / 1000)}.0` }],
    ["another version", { ...standard(), "webhook-signature": standard()["webhook-signature"]!.replace("v1,", "v2,") }],
    ["a cut signature", { ...standard(), "webhook-signature": standard()["webhook-signature"]!.slice(0, -4) }],
    ["no base64", { ...standard(), "webhook-signature": "v1,***" }],
    ["an empty signature", { ...standard(), "webhook-signature": "v1," }],
    ["no id", omit(standard(), "webhook-id")],
    ["no time", omit(standard(), "webhook-timestamp")],
    ["no signature", omit(standard(), "webhook-signature")],
  ])("refuses %s", async (_what, headers) => {
    expect(await verify("standard", headers)).toBeNull();
  });

  test.each([-299_000, 299_000])("takes a time %d ms off", async (off) => {
    expect(await verify("standard", standard({ at: now + off }))).not.toBeNull();
  });
});

describe("github", () => {
  test("takes what GitHub's own library signed", async () => {
    expect(await verify("github", await github())).toEqual({ externalId: "72d3162e-cc78-11e3-81ab-4c9367dc0958" });
    expect(await verify("github", omit(await github(), "x-github-delivery"))).toEqual({ externalId: null });
  });

  test.each([
    ["another secret", github(other.github)],
    ["another body", github(secrets.github, `${body}\n`)],
    [
      "the old SHA-1 header alone",
      Promise.resolve({ "x-hub-signature": "sha1=2fd4e1c67a2d28fced849ee1bb76e7391b93eb12" }),
    ],
    [
      "a signature without its name",
      github().then((given) => ({ "x-hub-signature-256": given["x-hub-signature-256"]!.slice(7) })),
    ],
    [
      "a cut signature",
      github().then((given) => ({ "x-hub-signature-256": given["x-hub-signature-256"]!.slice(0, -2) })),
    ],
    ["a longer signature", github().then((given) => ({ "x-hub-signature-256": `${given["x-hub-signature-256"]}00` }))],
    ["no signature", Promise.resolve({})],
  ])("refuses %s", async (_what, headers) => {
    expect(await verify("github", (await headers) as Headers_)).toBeNull();
  });
});

describe("token", () => {
  test("takes the secret, with and without a key", async () => {
    const authorization = `Bearer ${secrets.token}`;
    expect(await verify("token", { authorization })).toEqual({ externalId: null });
    expect(await verify("token", { authorization, "idempotency-key": "k-1" })).toEqual({ externalId: "k-1" });
  });

  test.each([
    ["another secret", `Bearer ${other.token}`],
    ["a part of it", `Bearer ${secrets.token.slice(0, -1)}`],
    ["more than it", `Bearer ${secrets.token}x`],
    ["another way of writing it", `Basic ${secrets.token}`],
    ["nothing", "Bearer "],
  ])("refuses %s", async (_what, authorization) => {
    expect(await verify("token", { authorization })).toBeNull();
  });

  test("refuses a genuine call whose key is none", async () => {
    const headers = { authorization: `Bearer ${secrets.token}`, "idempotency-key": "two words" };
    await expect(verify("token", headers)).rejects.toMatchObject({ code: "invalid_request" });
  });
});

test("a message of one scheme proves nothing under another", async () => {
  expect(await verify("github", standard())).toBeNull();
  expect(await verify("token", await github())).toBeNull();
  expect(await verify("standard", { authorization: `Bearer ${secrets.standard}` })).toBeNull();
});

describe("whatever is sent", () => {
  const bytes = fc.uint8Array({ maxLength: 80 });
  const headerValue = fc.string({
    unit: fc.integer({ min: 0x20, max: 0xff }).map((code) => String.fromCharCode(code)),
  });
  const second = Math.floor(now / 1000);

  test("any headers over any body prove nothing, and throw nothing", async () => {
    const names = ["webhook-id", "webhook-timestamp", "webhook-signature", "x-hub-signature-256", "authorization"];
    const given = fc.oneof(
      headerValue,
      fc.base64String().map((text) => `v1,${text}`),
      fc.constantFrom(String(second), "v1,", "v1, v1,", "sha256=", `sha256=${"0".repeat(64)}`, "Bearer x", "msg_1"),
    );
    const headers = fc.record(Object.fromEntries(names.map((name) => [name, given])), { requiredKeys: [] });
    const scheme = fc.constantFrom("standard" as const, "github" as const, "token" as const);
    await fc.assert(
      fc.asyncProperty(scheme, headers, bytes, async (one, all, content) => {
        expect(await verify(one, all as Headers_, content)).toBeNull();
      }),
      { numRuns: 500 },
    );
  });

  test("a genuine message is taken, and with one bit of body or signature changed it is not", async () => {
    const flip = (content: Uint8Array, at: number, bit: number) =>
      content.map((byte, place) => (place === at % content.length ? byte ^ (1 << bit) : byte));
    await fc.assert(
      fc.asyncProperty(bytes, fc.nat(), fc.nat({ max: 7 }), async (content, at, bit) => {
        const id = "msg_1";
        const key = Buffer.from(secrets.standard.slice("whsec_".length), "base64");
        const signed = createHmac("sha256", key).update(`${id}.${second}.`).update(content).digest();
        const hex = createHmac("sha256", secrets.github).update(content).digest();
        const ofStandard = (signature: Uint8Array) => ({
          "webhook-id": id,
          "webhook-timestamp": String(second),
          "webhook-signature": `v1,${Buffer.from(signature).toString("base64")}`,
        });
        const ofGithub = (signature: Uint8Array) => ({
          "x-hub-signature-256": `sha256=${Buffer.from(signature).toString("hex")}`,
        });
        expect(await verify("standard", ofStandard(signed), content)).not.toBeNull();
        expect(await verify("github", ofGithub(hex), content)).not.toBeNull();
        expect(await verify("standard", ofStandard(flip(signed, at, bit)), content)).toBeNull();
        expect(await verify("github", ofGithub(flip(hex, at, bit)), content)).toBeNull();
        if (content.length === 0) return;
        expect(await verify("standard", ofStandard(signed), flip(content, at, bit))).toBeNull();
        expect(await verify("github", ofGithub(hex), flip(content, at, bit))).toBeNull();
      }),
      { numRuns: 200 },
    );
  });

  test("a secret with any one character changed, left out or added is another", async () => {
    const { token } = secrets;
    const character = fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code));
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: token.length - 1 }), character, async (at, other_) => {
        const [before, after] = [token.slice(0, at), token.slice(at + 1)];
        for (const written of [before + other_ + after, before + after, before + other_ + token.slice(at)])
          expect((await verify("token", { authorization: `Bearer ${written}` })) !== null).toBe(written === token);
      }),
      { numRuns: 200 },
    );
  });

  test("a time is taken up to 300 s off, to the millisecond, and no other writing of it", async () => {
    for (const side of [-1, 1])
      for (const [off, isTaken] of [
        [299_999, true],
        [300_000, true],
        [300_001, false],
      ] as const) {
        const headers = standard({ at: second * 1000 });
        const at = second * 1000 + side * off;
        const message = { headers: new Headers(headers), body: bytesOf(body) };
        const found = await verifyWebhook(webDigests, "standard", [secrets.standard], message, at);
        expect([off, found !== null]).toEqual([off, isTaken]);
      }
  });
});

function omit(headers: Headers_, name: string): Headers_ {
  return Object.fromEntries(Object.entries(headers).filter(([key]) => key !== name));
}
