/**
 * The cookies: a browser's session (`SameSite=Strict`), and what it keeps while its person is at the OpenID provider (`Lax`,
 * for it must come along from there). Both `HttpOnly`, and where the public URL is https `Secure` and `__Host-`: no page of a
 * neighbouring name, and nobody on a plain connection, can set one.
 */

export const sessionSeconds = 7 * 24 * 3600;
const isHttps = (publicUrl: string) => publicUrl.startsWith("https:");
const named = (publicUrl: string, name: string) => (isHttps(publicUrl) ? `__Host-${name}` : name);
export const sessionName = (publicUrl: string) => named(publicUrl, "berth_session");
const attemptName = (publicUrl: string) => named(publicUrl, "berth_sign_in");

/** The `set-cookie` line for this token; 0 seconds and an empty token remove it. */
export function sessionCookie(publicUrl: string, jwt: string, maxAgeSeconds: number): string {
  return setCookie(sessionName(publicUrl), jwt, maxAgeSeconds, "Strict", publicUrl);
}

/** The token of the request's session cookie, or null. */
export function readSessionCookie(publicUrl: string, request: Request): string | null {
  return readCookie(request, sessionName(publicUrl));
}

/** The `set-cookie` line of a sign-in attempt; 0 seconds and an empty one remove it. */
export function attemptCookie(publicUrl: string, jwt: string, maxAgeSeconds: number): string {
  return setCookie(attemptName(publicUrl), jwt, maxAgeSeconds, "Lax", publicUrl);
}

export function readAttemptCookie(publicUrl: string, request: Request): string | null {
  return readCookie(request, attemptName(publicUrl));
}

function setCookie(name: string, value: string, maxAge: number, sameSite: "Strict" | "Lax", publicUrl: string): string {
  const secure = isHttps(publicUrl) ? "; Secure" : "";
  return `${name}=${value}; Path=/; Max-Age=${maxAge}; HttpOnly; SameSite=${sameSite}${secure}`;
}

function readCookie(request: Request, name: string): string | null {
  const pairs = (request.headers.get("cookie") ?? "").split(";").map((pair) => pair.trim());
  const found = pairs.find((pair) => pair.startsWith(`${name}=`));
  return found ? found.slice(name.length + 1) : null;
}
