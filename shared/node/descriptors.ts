/** How many files and connections this process may have open at once. */
import { readFileSync } from "node:fs";

/** The soft limit, which Node raises to the hard one when it starts. */
export function descriptorLimit(): number {
  const [, soft = "1024"] = /^Max open files +(\d+|unlimited)/m.exec(readFileSync("/proc/self/limits", "utf8")) ?? [];
  return soft === "unlimited" ? 1_048_576 : Number(soft);
}
