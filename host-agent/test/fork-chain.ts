/**
 * For tests: a program that no list of processes shows: two chains, each of which forks and leaves its pid some five thousand
 * times a second, pinned to one core so that a limit on CPU time does not hold it up. It counts its steps in a file, for whoever
 * wants to know whether it lives.
 */

/**
 * An ELF of x86-64, for the image has no compiler; in assembler (as, then objcopy -O binary) below its header:
 *   open("count", O_RDWR|O_CREAT, 0600); ftruncate(8); mmap(shared) -> rbx; sched_setaffinity(core 0); clone(0)
 *   step: lock incq (%rbx); nanosleep(100 us); clone(CLONE_VM); the child, or who cannot fork: jle step; exit(0)
 */
export const forkChain =
  "f0VMRgIBAQAAAAAAAAAAAAIAPgABAAAAeABAAAAAAABAAAAAAAAAAAAAAAAAAAAAAAAAAEAAOAABAAAAAAAAAAEAAAAHAAAAAAAAAAAAAAAAAEAAAAAAAAAAQAAAAAAANwEAAAAAAAA3AQAAAAAAAAAQAAAAAAAAuAIAAABIjT2VAAAAvkIAAAC6gAEAAA8FQYnAice4TQAAAL4IAAAADwW4CQAAADH/vggAAAC6AwAAAEG6AQAAAEUxyQ8FSInDuMsAAAAx/74IAAAASI0VTAAAAA8FuDgAAAAx/zH2MdJFMdIPBfBI/wO4IwAAAEiNPTIAAAAx9g8FuDgAAAC/AAEAADH2MdJFMdIPBYXAftW4PAAAADH/DwVjb3VudAABAAAAAAAAAAAAAAAAAAAAoIYBAAAAAAA=";
