/**
 * The cookies: a browser's session (`SameSite=Strict`), and what it keeps while its person is at the OpenID provider (`Lax`,
 * for it must come along from there). Both `HttpOnly`, and `Secure` where the public URL is https.
 */

export const sessionSeconds = 7 * 24 * 3600;
const cookieName = "berth_session";
const attemptName = "berth_sign_in";

/** The `set-cookie` line for this token; 0 seconds and an empty token remove it. */
export function sessionCookie(publicUrl: string, jwt: string, maxAgeSeconds: number): string {
  return `${cookieName}=${jwt}; Path=/; Max-Age=${maxAgeSeconds}; HttpOnly; SameSite=Strict${secure(publicUrl)}`;
}

/** The token of the request's session cookie, or null. */
export function readSessionCookie(request: Request): string | null {
  return readCookie(request, cookieName);
}

/** The `set-cookie` line of a sign-in attempt; 0 seconds and an empty one remove it. */
export function attemptCookie(publicUrl: string, jwt: string, maxAgeSeconds: number): string {
  const path = "/session/oidc";
  return `${attemptName}=${jwt}; Path=${path}; Max-Age=${maxAgeSeconds}; HttpOnly; SameSite=Lax${secure(publicUrl)}`;
}

export function readAttemptCookie(request: Request): string | null {
  return readCookie(request, attemptName);
}

const secure = (publicUrl: string) => (publicUrl.startsWith("https:") ? "; Secure" : "");

function readCookie(request: Request, name: string): string | null {
  const pairs = (request.headers.get("cookie") ?? "").split(";").map((pair) => pair.trim());
  const found = pairs.find((pair) => pair.startsWith(`${name}=`));
  return found ? found.slice(name.length + 1) : null;
}
