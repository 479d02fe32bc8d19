/** Whoever is asked for what is relied on: a real machine, or a model of one. */
import type { ContainerSpec, Engine, ExecSpec } from "../../src/machine/engine.ts";

export interface Place {
  engine: Engine;
  /** A container to be, of a name that no other has. */
  spec(): ContainerSpec;
  /** A program that ends with this code at once, goes on, or takes more memory than there is. */
  exec(end: number | null | "greedy"): ExecSpec;
  uid: number;
  /** An empty directory on a file system with flags. */
  directory(): string;
  /** The same, mounted, with next to no room left, and in it a file `begun` of one line's end. */
  fullDirectory(): Promise<string>;
  /** Has the file system of directories written to no more, as the kernel does it after an error; what comes back has it well again. */
  failDisk(): () => void;
  /** Power goes and comes: of that file system there is what had come to the disk. */
  crash(): void;
  /** The engine is killed and started again, as one that lets its containers go on or not. */
  restartEngine(letsGoOn: boolean): Promise<void>;
  until(check: () => boolean | Promise<boolean>): Promise<void>;
}
export interface Case {
  name: string;
  ask(place: Place): Promise<unknown>;
  answer: unknown;
}

export const codeOf = async (job: () => unknown) => {
  try {
    await job();
    return "done";
  } catch (error) {
    return (error as NodeJS.ErrnoException).code;
  }
};
