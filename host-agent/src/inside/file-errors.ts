/** What `berth-files` answers instead of doing it: the kernel's names of errors and a few of its own, as the contract's codes. */
import { MachineError } from "../machine/machine-error.ts";
import { AppError, type ErrorCode } from "@berth/shared/errors";

const refusals: Record<string, [ErrorCode, string]> = {
  ENOENT: ["not_found", "There is no such file or directory."],
  ENOTDIR: ["conflict", "A part of the path is a file, not a directory."],
  EISDIR: ["conflict", "A directory is at this path."],
  EFILE: ["conflict", "Only a directory is downloaded as an archive."],
  ESPECIAL: ["conflict", "This is neither a file nor a directory."],
  ELOOP: ["conflict", "The links on the way lead in a circle."],
  EROOT: ["conflict", "The agent's own directory stays: delete the agent instead."],
  ECHANGED: ["conflict", "The file was changed meanwhile, or is there already: read it again."],
  ENOTEMPTY: ["conflict", "Something goes on writing into the directory: try again."],
  ETXTBSY: ["conflict", "The file is being executed."],
  ENOSPC: ["conflict", "The workspace's disk is full: delete files, then try again."],
  EDQUOT: [
    "conflict",
    "The agent has all of the workspace's disk that one may have: delete files of it, then try again.",
  ],
  EACCES: ["forbidden", "The agent itself may not do this."],
  EPERM: ["forbidden", "The agent itself may not do this."],
  EROFS: ["forbidden", "The agent itself may not do this."],
  EOUTSIDE: ["forbidden", "The path leads out of the workspace."],
  ENAMETOOLONG: ["invalid_request", "A name on the path is too long."],
  EINCOMPLETE: ["invalid_request", "The body is not as long as was declared."],
  EFBIG: ["payload_too_large", "A file may have 1 GiB at most."],
};

/** The error to answer; what nobody foresaw the machine failed at. */
export function asRefusal(name: string): Error {
  const known = Object.hasOwn(refusals, name) ? refusals[name] : undefined;
  return known ? new AppError(...known) : new MachineError(`berth-files answered ${name}`);
}
