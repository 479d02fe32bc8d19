/** What differs between the APIs by which models are called. The proxy knows an API by this alone; each has a file of its own. */
import type { IncomingHttpHeaders } from "node:http";
import type { Settings } from "@berth/shared/settings";
import type { Usage } from "@berth/shared/resources";

export interface ModelApi {
  /** Its calls, as sentences name them. */
  name: string;
  /** The setting with the key that a host puts in. */
  keyName: keyof Settings;
  target(settings: Settings): ModelTarget;
  /** What is passed on: a path (group 1) and its query (group 2). Everything else is refused. */
  paths: RegExp;
  /** The path whose answers cost something. */
  chargedPath: string;
  /** Request headers of its own that are passed on, beside those that all APIs have. */
  headers: RegExp;
  keyHeaders(apiKey: string): Record<string, string>;
  /** What a call with these headers may cost at list prices, in USD. */
  mostUsd(headers: IncomingHttpHeaders): number;
  /** An error in its own shape, so that its clients understand it. */
  errorBody(status: number, message: string): object;
  /** A reader of one answer: it takes each event of a stream, or a plain answer whole, as JSON that nobody has checked. */
  readAnswer(onFact: (fact: AnswerFact) => void): (event: unknown) => void;
}

/** Where an API is served, and the key to put in. */
export interface ModelTarget {
  url: string;
  apiKey: string | null;
}

/** What an answer says of itself: the usage of this one answer so far (never falling), or an error inside a stream. */
export type AnswerFact = { usage: Usage } | { errorStatus: number };
