/** What a tool call is about. */
import { expect, test } from "vitest";
import { proseOf, todosOf } from "./tools.ts";

test("a list of what is to do has a state for each, whatever the agent wrote", () => {
  const todos = [
    { content: "read", status: "completed" },
    { content: "write", status: "in_progress" },
    { content: 7, status: "odd" },
    null,
  ];
  expect(todosOf({ name: "TodoWrite", input: { todos } })).toEqual([
    { text: "read", state: "done" },
    { text: "write", state: "doing" },
    { text: "", state: "open" },
    { text: "", state: "open" },
  ]);
  expect(todosOf({ name: "TodoWrite", input: { todos: "none" } })).toBe(null);
  expect(todosOf({ name: "Bash", input: { todos } })).toBe(null);
});

test("a plan and a task are prose, and nothing else is", () => {
  expect(proseOf({ name: "ExitPlanMode", input: { plan: "# Plan" } })).toBe("# Plan");
  expect(proseOf({ name: "Task", input: { prompt: "look" } })).toBe("look");
  expect(proseOf({ name: "Task", input: null })).toBe(null);
  expect(proseOf({ name: "Bash", input: { prompt: "look" } })).toBe(null);
});
