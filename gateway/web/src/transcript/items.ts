/** What a run's transcript is made of. An item changes in place while it is written; `rev` tells those who drew it. */

interface Drawn {
  rev: number;
  /** Whether it belongs to a helper that the agent started. */
  isNested: boolean;
}
export interface TextItem extends Drawn {
  kind: "text" | "thinking";
  text: string;
  /** Still being written. */
  isOpen: boolean;
}
/** A picture that a tool has answered with, in base64. */
export interface Picture {
  mediaType: string;
  data: string;
}
export interface ToolItem extends Drawn {
  kind: "tool";
  toolId: string;
  name: string;
  /** Null while it is being written. */
  input: Record<string, unknown> | null;
  output: string | null;
  pictures: Picture[];
  isError: boolean;
  isOpen: boolean;
  /** Whether a person unfolded it; kept here, for what is out of sight is not drawn. */
  isUnfolded: boolean | null;
}
export interface OutputItem extends Drawn {
  kind: "output";
  text: string;
}
/** Sentences of this page in a transcript; in its language when they are drawn. */
type Notice = "summedUp" | "outputDropped" | "sessionMissing";
export type NoteText = string | { notice: Notice };
interface NoteItem extends Drawn {
  kind: "note";
  text: NoteText;
  tone: "quiet" | "bad";
}
/** A word of the user's into the turn. */
interface SaidItem extends Drawn {
  kind: "said";
  /** Its id, by which the API named it. */
  id: string;
  text: string;
}
/** An event that this page has no picture of. */
interface RawItem extends Drawn {
  kind: "raw";
  name: string;
  text: string;
}
/** What turned out not to be part of the transcript. */
interface GoneItem extends Drawn {
  kind: "gone";
}
export type Item = TextItem | ToolItem | OutputItem | NoteItem | SaidItem | RawItem | GoneItem;
