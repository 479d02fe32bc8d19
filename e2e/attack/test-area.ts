/** The attempts of an area as tests: each holds. */
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Area } from "./attempt.ts";
import { describeFinding, type OpenStage, openStage } from "./stage.ts";

/** Declares a test for each attempt of the area; what it found goes to the suite's output. */
export function testArea(area: Area): void {
  let stage: OpenStage;
  beforeAll(async () => {
    stage = await openStage(area, "shared");
  });
  afterAll(async () => {
    await stage?.close();
  });
  test.each(area.attempts.filter(({ isExtra }) => !isExtra))("$name: the wall holds", async (attempt) => {
    const finding = await attempt.make(stage);
    process.stdout.write(`${describeFinding(attempt, finding)}\n`);
    expect(finding.wrong).toEqual([]);
  });
}
