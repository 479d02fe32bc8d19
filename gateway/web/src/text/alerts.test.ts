import { beforeAll, expect, test } from "vitest";
import { speak, speakMore } from "../i18n/language.ts";
import { tellAlert } from "./alerts.ts";

beforeAll(async () => {
  await speak("en");
  await speakMore();
});

test("an admin is told what a user met and how often, as far as it is counted", () => {
  const alert = { kind: "out_of_memory", userId: "usr_1", count: 12, lastAt: "2026-01-01T00:00:00.000Z" } as const;
  expect(tellAlert(alert)).toBe("Stopped: out of memory, 12 times within an hour.");
  expect(tellAlert({ ...alert, kind: "run_limit", count: 100 })).toBe(
    "Refused: too many runs at once, 100 times or more within an hour.",
  );
  expect(tellAlert({ ...alert, kind: "unended", count: 1 })).toMatch(/could not be ended.*restart the machine\.$/);
});
