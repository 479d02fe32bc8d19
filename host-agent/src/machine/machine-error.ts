/** What fails on a machine and may go well a moment later: its engine, its disks, its kernel. Whatever else is thrown is a defect. */
import { AppError } from "@berth/shared/errors";

/** Thrown by us where the machine does not do what it is asked for. */
export class MachineError extends Error {}

/** What a caller is told of what the machine failed at; null of a defect. */
export function tellFailure(error: unknown): AppError | null {
  if (!isOfMachine(error)) return null;
  const detail = "The user's host could not do it just now, and its log says why: try again.";
  return new AppError("host_unavailable", detail, { retryAfter: 2 }, { cause: error });
}

/** The kernel's errors name the system call, the engine's have the status of its answer, the database's a code. */
function isOfMachine(error: unknown): boolean {
  if (!(error instanceof Error) || error instanceof MachineError) return error instanceof MachineError;
  const isDisks = "code" in error && /^SQLITE_(FULL|IOERR|BUSY)/.test(String(error.code));
  return isDisks || "syscall" in error || "statusCode" in error;
}
