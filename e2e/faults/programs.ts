/** The programs that users send: each leaves marks in its agent's directory, prints what is known beforehand, and ends so. */
import type { Random } from "./random.ts";

export interface Program {
  script: string;
  /** What it prints and ends with when nothing ends it first; null where that is not known. */
  expected: { lines: number; exitCode: number } | null;
}

/** By hand of each: one line in the file `marks`, as `readMark` of the judge reads it. No process is started for it. */
const preamble = (key: string) =>
  `m() { read -r s < /proc/1/stat; s=\${s##*) }; set -- "$1" $s; echo "$1 ${key} $BERTH_RUN_ID $EPOCHREALTIME \${21}" >> marks; }; m begin`;

/** Sizes around those at which readers and writers cut. */
const sizes = [4095, 4096, 4097, 4100, 65_535, 65_536, 65_537, 200_000];

export function composeProgram(key: string, random: Random): Program {
  const parts = [preamble(key)];
  // Some leave a process behind that would like to stay.
  if (random.isTrue(0.2)) parts.push("setsid sleep 7777 > /dev/null 2>&1 &");
  const kind = random.whole(1, 100);
  if (kind <= 3) {
    // Beyond the limit of time.
    parts.push("echo waits", "m tick", "sleep 7777", "m end", "exit 0");
    return { script: parts.join("\n"), expected: { lines: 1, exitCode: 0 } };
  }
  if (kind <= 5) {
    // Beyond the limit of memory.
    parts.push(
      "echo eats",
      "m tick",
      "head -c 1500m /dev/zero | tail -c 1500m > /dev/null",
      "r=$?",
      "m end",
      "exit $r",
    );
    return { script: parts.join("\n"), expected: null };
  }
  if (kind <= 8) {
    parts.push("echo dies", "m end", "kill -9 $$");
    return { script: parts.join("\n"), expected: { lines: 1, exitCode: 137 } };
  }
  const exitCode = random.isTrue(0.3) ? random.whole(1, 100) : 0;
  if (kind <= 18) {
    const size = random.pick(sizes);
    // Of characters of two bytes, where the size is even.
    const fill = size % 2 === 0 ? `printf 'ä%.0s' $(seq ${size / 2 - 1}); echo x` : `printf 'x%.0s' $(seq ${size - 1})`;
    parts.push(fill, "echo", "m end", `exit ${exitCode}`);
    return { script: parts.join("\n"), expected: { lines: size % 2 === 0 ? 2 : 1, exitCode } };
  }
  const lines = random.whole(3, 250);
  const seconds = random.pick(["0.01", "0.03", "0.05"]);
  parts.push(`for i in $(seq 1 ${lines}); do echo $i; m tick; sleep ${seconds}; done`, "m end", `exit ${exitCode}`);
  return { script: parts.join("\n"), expected: { lines, exitCode } };
}
