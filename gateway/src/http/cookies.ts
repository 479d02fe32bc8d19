/**
 * The cookies: a browser's session (`SameSite=Strict`), and what it keeps while its person is at the OpenID provider (`Lax`,
 * for it must come along from there). Both `HttpOnly`, and where the public URL is https `Secure` and `__Host-`: no page of a
 * neighbouring name, and nobody on a plain connection, can set one.
 */

export const sessionSeconds = 7 * 24 * 3600;

function cookie(ownName: string, sameSite: "Strict" | "Lax") {
  const isHttps = (publicUrl: string) => publicUrl.startsWith("https:");
  const name = (publicUrl: string) => (isHttps(publicUrl) ? `__Host-${ownName}` : ownName);
  return {
    name,
    /** The `set-cookie` line for this token; 0 seconds and an empty token remove it. */
    set: (publicUrl: string, jwt: string, maxAgeSeconds: number) => {
      const secure = isHttps(publicUrl) ? "; Secure" : "";
      return `${name(publicUrl)}=${jwt}; Path=/; Max-Age=${maxAgeSeconds}; HttpOnly; SameSite=${sameSite}${secure}`;
    },
    /** The token that the request brings, or null. */
    read: (publicUrl: string, request: Request): string | null => {
      const pairs = (request.headers.get("cookie") ?? "").split(";").map((pair) => pair.trim());
      const start = `${name(publicUrl)}=`;
      return pairs.find((pair) => pair.startsWith(start))?.slice(start.length) ?? null;
    },
  };
}

export const sessionCookie = cookie("berth_session", "Strict");
export const attemptCookie = cookie("berth_sign_in", "Lax");
