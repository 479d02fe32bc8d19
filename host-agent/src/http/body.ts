/** Bodies of the gateway's calls. */
import { createHash } from "node:crypto";
import type { Context } from "hono";
import { AppError } from "@berth/shared/errors";
import { unauthenticated } from "../membership/verify.ts";
import type { ServerEnv } from "./env.ts";

const bodyLimit = 16 * 2 ** 20;

/** The body that the gateway signed: trusted, still bounded. */
export async function readJson(c: Context<ServerEnv>): Promise<unknown> {
  return parse(await readText(c));
}

/** Undefined where there is no body: a gateway of an earlier version sends none with some calls. */
export async function readJsonIfAny(c: Context<ServerEnv>): Promise<unknown> {
  const text = await readText(c);
  return text === "" ? undefined : parse(text);
}

async function readText(c: Context<ServerEnv>): Promise<string> {
  if (Number(c.req.header("content-length") ?? 0) > bodyLimit)
    throw new AppError("payload_too_large", "The body is too large.");
  const text = await c.req.text();
  if (createHash("sha256").update(text).digest("hex") !== c.get("claims").body) throw unauthenticated();
  return text;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new AppError("invalid_request", "The body is not JSON.", {}, { cause: error });
  }
}
