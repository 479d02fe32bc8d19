/** The terminals that are open in this tab, by agent. They go on while another page is in view, and end with the session. */
import { signal } from "@preact/signals";
import type { TerminalSession } from "./session.ts";

interface OpenTerminal {
  number: number;
  session: TerminalSession;
}
export const openTerminals = signal<ReadonlyMap<string, OpenTerminal[]>>(new Map());

/** Loads what a terminal needs and opens one more; answers it. Throws when it cannot be loaded. */
export async function addTerminal(agentId: string, onLeave: () => void): Promise<OpenTerminal> {
  const { openTerminal } = await import("./session.ts");
  const there = openTerminals.value.get(agentId) ?? [];
  const number = Math.max(0, ...there.map((one) => one.number)) + 1;
  const added = { number, session: openTerminal(agentId, onLeave) };
  openTerminals.value = new Map(openTerminals.value).set(agentId, [...there, added]);
  return added;
}

export function closeTerminal(agentId: string, number: number): void {
  const there = openTerminals.value.get(agentId) ?? [];
  there.find((one) => one.number === number)?.session.close();
  openTerminals.value = new Map(openTerminals.value).set(
    agentId,
    there.filter((one) => one.number !== number),
  );
}

export const areTerminalsAtWork = () =>
  [...openTerminals.value.values()].flat().some(({ session }) => session.isAtWork());

export function closeTerminals(): void {
  for (const one of [...openTerminals.value.values()].flat()) one.session.close();
  openTerminals.value = new Map();
}
