/** The programs of the machine that tests call: Chromium without a screen, what attacks and cuts, and Compose. */
import { ensurePrograms } from "./debian.ts";

export const browserPath = "/usr/bin/chromium-headless-shell";

/** Makes sure of all of them, installed where they are missing. Throws a SetupError that says what to do. */
export async function ensureTestPrograms(): Promise<void> {
  await ensurePrograms({
    caddy: "caddy",
    "chromium-headless-shell": "chromium-headless-shell",
    curl: "curl",
    "docker-compose": "docker-compose",
    git: "git",
    ip: "iproute2",
    nginx: "nginx",
    nsenter: "util-linux",
    openssl: "openssl",
    systemctl: "systemd",
  });
}
