/** The browser of the dashboard's tests: Debian's Chromium without a screen, installed where it is missing. */
import { existsSync } from "node:fs";
import { installDebianPackages, mayInstall, SetupError } from "./debian.ts";

export const browserPath = "/usr/bin/chromium-headless-shell";

/** Makes sure of the browser. Throws a SetupError that says what to do. */
export async function ensureBrowser(): Promise<void> {
  if (existsSync(browserPath)) return;
  if (!mayInstall()) throw new SetupError("The tests need chromium-headless-shell: install this package first.");
  await installDebianPackages(["chromium-headless-shell"]);
}
