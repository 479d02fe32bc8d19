/** What a host agent needs of its machine: root, an engine, the workspace image. */
import type { Settings } from "@berth/shared/settings";
import type Docker from "dockerode";
import { isRoot, SetupError } from "./debian.ts";
import { ensureEngine } from "./engine.ts";
import { ensureImage, tellOlder } from "./image.ts";

/** Makes sure of all three, with visible progress, and answers the engine. Throws a SetupError that says what to do. */
export async function prepareMachine(settings: Settings): Promise<Docker> {
  if (!isRoot())
    throw new SetupError("The host agent mounts workspaces and signals processes of their users: run this as root.");
  const docker = await ensureEngine(settings.DOCKER_HOST);
  const name = settings.BERTH_IMAGE;
  if ((await ensureImage({ docker, name })) === "older") process.stderr.write(`! ${tellOlder(name)}\n`);
  return docker;
}
