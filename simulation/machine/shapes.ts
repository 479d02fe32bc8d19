/** What a process, a container and an exec are here. Plain data. */
import type { Inode } from "./files.ts";

export interface Process {
  pid: number;
  /** Clock ticks since boot: a pid that is used again has another. */
  start: number;
  uid: number;
  gid: number;
  session: number;
  environment: string[];
  container: Container;
  /** The run it belongs to; null for a container's own processes. */
  runId: string | null;
  isEnding: boolean;
  /** It leaves its pid to a child whenever somebody has read the list of processes: no list shows where it is. */
  movesOn: boolean;
  /** What a signal does to it; it is gone at once where this says so. */
  onSignal(signal: NodeJS.Signals): "goes" | "stays";
  onEnd(cause: EndCause): void;
}
/** Why a process is gone. */
export type EndCause = "itself" | "signal" | "container";

export interface ContainerOptions {
  name: string;
  Image: string;
  Labels: Record<string, string>;
  HostConfig: { Mounts: { Source: string; Target: string }[]; [key: string]: unknown };
}
export interface Container {
  id: string;
  options: ContainerOptions;
  isRunning: boolean;
  startedMs: number;
  endedMs: number;
  init: Process | null;
  mounts: Map<string, Inode>;
  isListening: boolean;
  /** Its terminals are. */
  isBounded: boolean;
  /** Nothing in it moves. */
  isFrozen: boolean;
  /** Its memory is taken up. */
  isTight: boolean;
  /** What runs keep in its memory beyond their processes, by their uids. */
  kept: Map<number, Kept>;
}
export interface Kept {
  runId: string;
  uid: number;
}
export interface ExecOptions {
  Cmd: string[];
  Env: string[];
  User: string;
}
export interface Exec {
  id: string;
  container: Container;
  options: ExecOptions;
  state: "made" | "running" | "ended";
  exitCode: number | null;
  process: Process | null;
  /** The engine says that it runs, and is only starting it. */
  isComing: boolean;
}
