/** The gateway on Workers: requests and the cron reach the same app and the same tick as on Node. Only this room knows Workers. */
import { toProblem } from "@berth/shared/errors";
import { messageOf } from "@berth/shared/log";
import { tick } from "../tick.ts";
import { bindingsFor, type WaitUntil } from "./bindings.ts";
import { openGateway, workerLog, type Env, type Gateway } from "./gateway.ts";

const nothing = () => undefined;
/** A thousand hosts are a clock that is too quick. */
const tickMs = 1000;

function tickAfter(gateway: Gateway, context: WaitUntil): void {
  const { deps } = gateway;
  if (Math.abs(deps.now() - gateway.tickedAt) < tickMs) return;
  gateway.tickedAt = deps.now();
  context.waitUntil(tick(deps).catch((error: unknown) => deps.log.error("tick.failed", { error: messageOf(error) })));
}

export default {
  async fetch(request: Request, env: Env, context: WaitUntil): Promise<Response> {
    try {
      const gateway = await openGateway(env);
      const answered = gateway.app.fetch(request, bindingsFor(request, context));
      // Who leaves ends a call in its midst, without its `finally`: a place that it has taken would never be given back.
      context.waitUntil(Promise.resolve(answered).then(nothing, nothing));
      const response = await answered;
      // The cron comes once a minute; hosts report every five seconds, and are as good a clock. Who is no host has no part in it.
      if (response.ok && new URL(request.url).pathname === "/internal/hosts/report") tickAfter(gateway, context);
      return response;
    } catch (error) {
      // Settings or secrets that do not fit: the log says which, the caller only that it is a defect.
      const requestId = crypto.randomUUID();
      workerLog.error("gateway.unusable", { requestId, error: messageOf(error) });
      const { status, headers, body } = toProblem(error, requestId);
      return new Response(JSON.stringify(body), { status, headers });
    }
  },

  async scheduled(_event: unknown, env: Env): Promise<void> {
    const { deps } = await openGateway(env);
    await tick(deps);
  },
};
