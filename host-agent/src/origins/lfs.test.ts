import { expect, test } from "vitest";
import { lfsMaxBytes, withoutCredentials } from "./lfs.ts";

const cleaned = (answer: object, authority = "gitlab.example") => {
  const bytes = withoutCredentials(Buffer.from(JSON.stringify(answer)), authority);
  return bytes && (JSON.parse(bytes.toString()) as unknown);
};
const header = { Authorization: "Basic x", accept: "text/plain" };
const batch = (href: string) => ({ objects: [{ oid: "a", actions: { upload: { href, header } } }] });

test.each([
  "https://gitlab.example/x",
  "https://GITLAB.example./x",
  "https://gitlab.example:443/x",
  "http://gitlab.example/x",
  "https://gitlab.example:8443/x",
  "/x",
  "no address",
])("what leads to the host itself has no credential beside it: %s", (href) => {
  expect(cleaned(batch(href))).toEqual({
    objects: [{ oid: "a", actions: { upload: { href, header: { accept: "text/plain" } } } }],
  });
});

test.each(["https://store.example/x", "https://gitlab.example.store.example/x", "https://lfs.gitlab.example/x"])(
  "what leads elsewhere keeps what it is signed by: %s",
  (href) => expect(cleaned(batch(href))).toEqual(batch(href)),
);

test("a port of the credential's own is a port of the same host", () => {
  expect(cleaned(batch("https://gitlab.example/x"), "gitlab.example:8443")).toMatchObject({
    objects: [{ actions: { upload: { header: { accept: "text/plain" } } } }],
  });
});

test("wherever a credential stands, and however it is written, it goes", () => {
  const href = "https://gitlab.example/x";
  const odd = { AUTHORIZATION: "x", "private-token": "x", Cookie: "x", "Content-Type": ["Basic x"] };
  expect(
    cleaned({
      objects: [{ _links: { download: { href: "https://ada:tok@gitlab.example/x", header: odd } }, actions: null }],
      authorization: "Basic x",
      header,
      deep: [[{ href: 7, headers: odd, Authorization: { href } }]],
      locks: [{ id: "1", owner: { name: "ada" } }],
    }),
  ).toEqual({
    objects: [{ _links: { download: { href, header: {} } }, actions: null }],
    header: { accept: "text/plain" },
    deep: [[{ href: 7, headers: {} }]],
    locks: [{ id: "1", owner: { name: "ada" } }],
  });
});

test("what is no JSON, or more than a batch has, is none", () => {
  expect(withoutCredentials(Buffer.from('{"objects":'), "gitlab.example")).toBeNull();
  expect(withoutCredentials(Buffer.from("<html>"), "gitlab.example")).toBeNull();
  const hundred = { objects: Array.from({ length: 100 }, () => batch(`https://s3.example/${"x".repeat(4000)}`)) };
  expect(cleaned(hundred)).toEqual(hundred);
  expect(JSON.stringify(hundred).length).toBeLessThan(lfsMaxBytes);
  expect(cleaned({ objects: Array.from({ length: 20_001 }, () => 1) })).toBeNull();
});
