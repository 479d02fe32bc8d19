/** Whether the engine has the workspaces' image: looked for anew each time, for anybody may remove it. */
import type { HostContext } from "../context/context.ts";
import type { Engine } from "../machine/engine.ts";

/** What an operator must know of an engine without the workspace's image. */
export const noImage = (image: string) =>
  `This host's engine has no image ${image}: npm start or npm run doctor builds it there.`;

export function createImageCheck({ settings, log, bus }: HostContext, engine: Engine) {
  const { BERTH_IMAGE: image } = settings;
  let problem: string | null = null;
  return {
    /** Why no workspace can be made here, as it was when it was last looked for. */
    problem: () => problem,
    /** The image's id; null if there is none. The gateway is told at once when that changes: it places nobody here then. */
    async find(): Promise<string | null> {
      const found = await engine.imageId(image);
      const now = found === null ? noImage(image) : null;
      if (now !== problem) bus.emit("host");
      if (now !== null && problem === null) log.error("image.missing", { image });
      problem = now;
      return found;
    },
  };
}
