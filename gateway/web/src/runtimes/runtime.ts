/** What this page must know of a runtime: its words, and how its lines are drawn. */
import type { Dialect } from "../transcript/fold.ts";

export interface RuntimeWords {
  name: string;
  /** What an agent runs, where one is made. */
  choice: string;
  /** In the empty field for a message. */
  placeholder: string;
  /** In a conversation without a message. */
  emptyTitle: string;
  empty: string[];
}

export interface Runtime {
  /** What runs, and what is said of it; read where it is drawn, for the language may change. */
  words: () => RuntimeWords;
  /** In a conversation without a message. */
  example: string | null;
  /** Whether it takes a model and instructions. */
  hasModel: boolean;
  /** Whether it reads words while it works. */
  reads: boolean;
  /** How its lines are drawn; null where all of them are plain text. */
  dialect: Dialect | null;
}
