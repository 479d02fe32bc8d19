/** What this page must know of a runtime: its words, and how its lines are drawn. */
import type { Dialect } from "../transcript/fold.ts";

export interface Runtime {
  /** What runs, in a word or two. */
  name: string;
  /** What an agent runs, where one is made. */
  choice: string;
  /** In the empty field for a message. */
  placeholder: string;
  /** In a conversation without a message. */
  empty: { title: string; paragraphs: string[]; example?: string };
  /** Whether it takes a model and instructions. */
  hasModel: boolean;
  /** Whether it reads words while it works. */
  reads: boolean;
  /** How its lines are drawn; null where all of them are plain text. */
  dialect: Dialect | null;
}
