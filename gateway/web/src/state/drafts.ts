/** What is written to each agent and not sent yet. It is of the agent and not of a composer, which may be left while it is sent. */
import { keptText, readFields } from "../kept/use-kept.ts";

export interface Draft {
  text: string;
  /** Paths of files that are there. */
  attachments: string[];
  /** Names this message: the same until it is changed. */
  key: string;
  /** Where the message of this key was sent first: only there is it known again. */
  sentTo: string | null;
}
const empty: Draft = { text: "", attachments: [], key: "", sentTo: null };

export function draftOf(agentId: string) {
  const { text, write } = keptText(`berth.draft.${agentId}`);
  const read = (): Draft => ({ ...empty, ...readFields<Draft>(text.value) });
  const put = (next: Draft) => write(next.text || next.attachments.length > 0 ? JSON.stringify(next) : null);
  const ofKey = (key: string, next: (now: Draft) => Draft) => read().key === key && put(next(read()));
  return {
    read,
    /** It is another message from then on. */
    change: (how: (now: Draft) => Partial<Draft>) =>
      put({ ...read(), ...how(read()), key: crypto.randomUUID(), sentTo: null }),
    noteSentTo: (key: string, sentTo: string | null) => ofKey(key, (now) => ({ ...now, sentTo })),
    /** What was written since is the next message. */
    forget: (key: string) => ofKey(key, () => empty),
  };
}

/** Puts a text below what is written there already. */
export const propose = (agentId: string, more: string) =>
  draftOf(agentId).change(({ text }) => ({ text: text ? `${text}\n${more}` : more }));
