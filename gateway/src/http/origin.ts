/** Whether a browser's request comes from the dashboard itself. */
import { isLoopback, type Settings } from "@berth/shared/settings";

/** True when the request names the dashboard as its origin, or the browser vouches that it is the same. */
export function isOwnOrigin(settings: Settings, request: Request): boolean {
  const origin = request.headers.get("origin");
  return origin === null
    ? request.headers.get("sec-fetch-site") === "same-origin"
    : isAllowedOrigin(settings, request, origin);
}

/**
 * True for the public URL's origin. A public URL on loopback has several names (localhost, 127.0.0.1): there the
 * request's own address counts too, when it is a loopback name.
 */
export function isAllowedOrigin(settings: Settings, request: Request, origin: string): boolean {
  const own = new URL(settings.BERTH_PUBLIC_URL);
  if (origin === own.origin) return true;
  const host = request.headers.get("host");
  if (own.protocol !== "http:" || !isLoopback(own.hostname) || host === null) return false;
  return origin === `http://${host}` && isLoopback(host.replace(/:\d+$/, ""));
}

/** True when the public URL is a loopback address and the request came by another name of it, where its cookies are not. */
export function isLoopbackAlias(settings: Settings, request: Request): boolean {
  const own = new URL(settings.BERTH_PUBLIC_URL);
  const host = request.headers.get("host");
  if (!isLoopback(own.hostname) || host === null || host === own.host) return false;
  return isLoopback(host.replace(/:\d+$/, ""));
}
