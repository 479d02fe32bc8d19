/** The substitute of `node:os` for the host agent: what the real one says differs by machine, and costs reads of real files. */
export * from "node:os";
export const availableParallelism = (): number => 4;
