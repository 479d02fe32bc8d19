/** The programs of the machine that tests call, each installed where it is missing: Chromium without a screen, and what attacks and cuts. */
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { installDebianPackages, mayInstall, SetupError } from "./debian.ts";

export const browserPath = "/usr/bin/chromium-headless-shell";

/** Program and Debian's package of it. */
const programs = {
  "chromium-headless-shell": "chromium-headless-shell",
  curl: "curl",
  git: "git",
  ip: "iproute2",
  nsenter: "util-linux",
  openssl: "openssl",
  unshare: "util-linux",
};

/** Makes sure of all of them. Throws a SetupError that says what to do. */
export async function ensureTestPrograms(): Promise<void> {
  const path = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/sbin"];
  const isThere = (program: string) => path.some((directory) => existsSync(join(directory, program)));
  const missing = Object.entries(programs).flatMap(([program, name]) => (isThere(program) ? [] : [name]));
  const names = [...new Set(missing)];
  if (names.length === 0) return;
  if (!mayInstall()) throw new SetupError(`The tests need ${names.join(" ")}: install these packages first.`);
  await installDebianPackages(names);
}
