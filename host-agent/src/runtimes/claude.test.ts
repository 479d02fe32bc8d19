import { expect, test } from "vitest";
import { nothingSeen } from "../run/lines-reader.ts";
import { claude } from "./claude.ts";

const init = (session_id: unknown) => JSON.stringify({ type: "system", subtype: "init", session_id });
const sessionOf = (line: string) => claude.readLine(line, nothingSeen())?.sessionId;

test("a conversation is one that the CLI takes up again, whatever lines the agent writes", () => {
  const id = "5175b5b5-c181-4cc9-ac37-f2b96b8a5016";
  expect(sessionOf(init(id))).toBe(id);
  const none = [
    "-".repeat(36),
    "a".repeat(36),
    id.replace("-", "a"),
    id.toUpperCase(),
    ` ${id}`,
    `${id}\n`,
    "",
    7,
    null,
  ];
  expect(none.map((one) => sessionOf(init(one)))).toEqual(none.map(() => undefined));
});
