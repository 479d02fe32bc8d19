import { expect, test, vi } from "vitest";
import { controlProtocol } from "./control-protocol.ts";

interface Told {
  response: object;
}
const init = (fields: object) => `${JSON.stringify({ type: "system", subtype: "init", ...fields })}\n`;

test("a CLI is asked to stop where it says that it can be, and where it has not said anything yet", () => {
  const told = (said: string) => controlProtocol.takesInterrupt(`{"type":"prepared"}\n${said}`);
  expect(told("")).toBe(true);
  expect(told(init({ capabilities: ["msg_lifecycle_v1", "interrupt_receipt_v1"] }))).toBe(true);
  expect(told(init({ capabilities: ["msg_lifecycle_v1"] }))).toBe(false);
  expect(told(init({}))).toBe(false);
  expect(told(init({ capabilities: Array.from({ length: 101 }, () => "interrupt_receipt_v1") }))).toBe(false);
  expect(told('{"type":"system","subtype":"init","capabilities":["interrupt_receipt_v1"')).toBe(false);
});

test("a word after a slash is a command where the CLI has said that it has it, and text where not", () => {
  const said = `{"type":"prepared"}\n${init({ slash_commands: ["compact", "ship"] })}`;
  const texts = ["/compact", "/ship it", "/status page returns 500", "/etc/hosts is odd", "a /status", "/shipit"];
  expect(texts.map((text) => controlProtocol.asText(said, text))).toEqual([
    "/compact",
    "/ship it",
    "\n/status page returns 500",
    "/etc/hosts is odd",
    "a /status",
    "\n/shipit",
  ]);
  for (const unknown of ["", init({}), init({ slash_commands: "compact" })])
    expect(controlProtocol.asText(unknown, "/compact")).toBe("\n/compact");
});

test("what is allowed as it was asked is not told again", () => {
  const answer = { requestId: "mine", behavior: "allow" } as const;
  const response = (more: object) => (JSON.parse(controlProtocol.answer({ ...answer, ...more })) as Told).response;
  expect(response({})).toEqual({ subtype: "success", request_id: "mine", response: { behavior: "allow" } });
  const updatedInput = { command: "ls" };
  expect(response({ updatedInput })).toMatchObject({ response: { behavior: "allow", updatedInput } });
});

test("what it says of its context is read, and not where the agent has made it to cost much", () => {
  const use = (more: object) => ({
    type: "control_response",
    response: {
      request_id: "mine",
      response: {
        model: "m",
        totalTokens: 5,
        maxTokens: 10,
        categories: [{ name: "a", tokens: 5, kind: "used" }],
        ...more,
      },
    },
  });
  const line = JSON.stringify(use({}));
  const known = { model: "m", usedTokens: 5, limitTokens: 10, parts: [{ name: "a", tokens: 5 }] };
  expect(controlProtocol.contextIn(line, "mine")).toEqual(known);
  expect(controlProtocol.contextIn(line, "another")).toBeNull();
  expect(controlProtocol.contextIn(`{"type":"x","mine":${line}}`, "mine")).toBeNull();
  const rich = JSON.stringify(use({ more: Array(30_000).fill(0) }));
  expect(controlProtocol.contextIn(rich, "mine")).toBe("unreadable");
  expect(
    controlProtocol.takesInterrupt(init({ capabilities: ["interrupt_receipt_v1"], more: Array(30_000).fill(0) })),
  ).toBe(false);
});

test("of a million empty lines nobody makes a list", () => {
  const said = "\n".repeat(2 ** 20);
  const split = vi.spyOn(String.prototype, "split");
  try {
    expect(controlProtocol.asText(said, "/compact")).toBe("\n/compact");
    expect(controlProtocol.asText(`${said}${init({ slash_commands: ["compact"] })}\n${said}`, "/compact")).toBe(
      "/compact",
    );
    expect(controlProtocol.takesInterrupt(said)).toBe(true);
    expect(controlProtocol.hasTaken(said)).toBe(false);
    expect(controlProtocol.hasTaken(`${said}{"type":"system"}`)).toBe(true);
    const made = split.mock.results.map(({ value }) => (value as string[]).length);
    expect(Math.max(0, ...made)).toBeLessThan(10);
  } finally {
    split.mockRestore();
  }
});
