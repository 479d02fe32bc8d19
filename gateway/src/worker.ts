/** The gateway on Workers: requests and the cron reach the same app and the same tick as on Node. Only `worker*.ts` know Workers. */
import { toProblem } from "@berth/shared/errors";
import { messageOf } from "@berth/shared/log";
import { tick } from "./tick.ts";
import { bindingsFor, type WaitUntil } from "./worker-bindings.ts";
import { openGateway, workerLog, type Env } from "./worker-gateway.ts";

export default {
  async fetch(request: Request, env: Env, context: WaitUntil): Promise<Response> {
    try {
      const { app } = await openGateway(env);
      return await app.fetch(request, bindingsFor(request, context));
    } catch (error) {
      // Settings or secrets that do not fit: the log says which, the caller only that it is a defect.
      workerLog.error("gateway.unusable", { error: messageOf(error) });
      const { status, headers, body } = toProblem(error, crypto.randomUUID());
      return new Response(JSON.stringify(body), { status, headers });
    }
  },

  async scheduled(_event: unknown, env: Env): Promise<void> {
    const { deps } = await openGateway(env);
    await tick(deps);
  },
};
