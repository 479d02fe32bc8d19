/** Opens the stage of an area, and makes its attempts one after the other. */
import { startBerth } from "../harness/harness.ts";
import type { Area, Attempt, Bar, Finding, Stage } from "./attempt.ts";

export interface OpenStage extends Stage {
  close(): Promise<void>;
}

export async function openStage(area: Area, bar: Bar): Promise<OpenStage> {
  const berth = await startBerth({ BERTH_IDLE_SECONDS: "600", ...area.settings });
  try {
    const [mallory, bob] = [await berth.client("mallory"), await berth.client("bob")];
    return { berth, mallory, bob, bar, close: berth.close };
  } catch (error) {
    await berth.close();
    throw error;
  }
}

/** One line for a person: the outcome, what was tried, the figures, and below it what does not hold. */
export function describeFinding({ name }: Attempt, { wrong, figures }: Finding): string {
  const outcome = wrong.length === 0 ? "HOLDS" : "HOLE ";
  return [`${outcome} ${name}: ${figures}`, ...wrong.map((sentence) => `      ${sentence}`)].join("\n");
}
