/** Words that this tab said into turns, over reloads: until a run's output shows them nobody knows whether its agent reads them. */
import { keptText } from "../kept/use-kept.ts";

interface ToldWord {
  runId: string;
  messageId: string;
  text: string;
}
/** So many of the last are kept. */
const most = 20;

const kept = () => keptText("berth.told");

export const toldWords = () => JSON.parse(kept().text.value ?? "[]") as ToldWord[];

export const noteWord = (word: ToldWord) => kept().write(JSON.stringify([...toldWords(), word].slice(-most)));

export function forgetWords(runId: string): void {
  kept().write(JSON.stringify(toldWords().filter((word) => word.runId !== runId)));
}
