/** How lines become a transcript, whatever CLI says them. */
import { expect, test } from "vitest";
import { chunkSize, createFold, type Fold } from "./fold.ts";

const fold = (...lines: unknown[]): Fold => {
  const made = createFold([({ addNote }) => ({ said: (line) => addNote(String(line["text"]), "quiet") })]);
  for (const line of lines) made.add(line);
  return made;
};
const shown = ({ items }: Fold) => items.filter((item) => item.kind !== "gone");

test("plain lines become few items, a piece of a line gets no newline", () => {
  const lines = Array.from({ length: 1000 }, (_, at) => ({ type: "line", text: `line ${at}` }));
  const run = fold(...lines, { type: "line", text: "long", more: true }, { type: "line", text: "er" });
  const all = shown(run)
    .map((item) => (item.kind === "output" ? item.text : ""))
    .join("");
  expect(all).toBe(`${lines.map((line) => `${line.text}\n`).join("")}longer\n`);
  expect(shown(run).length).toBeLessThan(10);
});

test("only chunks with changes get a new number", () => {
  const run = fold(...Array.from({ length: 3 * chunkSize }, (_, at) => ({ type: "said", text: at })));
  const before = [...run.chunkRevs];
  run.add({ type: "said", text: "new" });
  expect(run.chunkRevs.slice(0, 3)).toEqual(before);
  expect(run.chunkRevs).toHaveLength(4);
});
