/** The cookie of a browser session: `HttpOnly`, `SameSite=Strict`, `Secure` where the public URL is https. */

export const sessionSeconds = 7 * 24 * 3600;
const cookieName = "berth_session";

/** The `set-cookie` line for this token; 0 seconds and an empty token remove it. */
export function sessionCookie(publicUrl: string, jwt: string, maxAgeSeconds: number): string {
  const secure = publicUrl.startsWith("https:") ? "; Secure" : "";
  return `${cookieName}=${jwt}; Path=/; Max-Age=${maxAgeSeconds}; HttpOnly; SameSite=Strict${secure}`;
}

/** The token of the request's session cookie, or null. */
export function readSessionCookie(request: Request): string | null {
  const pairs = (request.headers.get("cookie") ?? "").split(";").map((pair) => pair.trim());
  const found = pairs.find((pair) => pair.startsWith(`${cookieName}=`));
  return found ? found.slice(cookieName.length + 1) : null;
}
