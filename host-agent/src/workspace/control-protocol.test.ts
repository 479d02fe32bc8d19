import { expect, test } from "vitest";
import { controlProtocol } from "./control-protocol.ts";

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
