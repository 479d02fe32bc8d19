/** The substitute of `jose` for the host agent: tokens say who they are and are believed. Nobody forges signatures here. */
export { createLocalJWKSet, decodeProtectedHeader, exportJWK, generateKeyPair, importJWK } from "jose";
import { decodeJwt, decodeProtectedHeader, type JWTVerifyOptions, type JWTVerifyResult } from "jose";

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
const signature = "A".repeat(86);

export class SignJWT {
  #header = {};
  readonly #claims: Record<string, unknown> = {};

  setProtectedHeader(header: object): this {
    this.#header = { ...header, kid: "simulated" };
    return this;
  }
  setIssuer = (iss: string) => this.#set({ iss });
  setSubject = (sub: string) => this.#set({ sub });
  setAudience = (aud: string) => this.#set({ aud });
  setJti = (jti: string) => this.#set({ jti });
  setIssuedAt = (iat: number) => this.#set({ iat });
  setExpirationTime = (exp: number) => this.#set({ exp });
  sign = async () => `${encode(this.#header)}.${encode(this.#claims)}.${signature}`;

  #set(claims: Record<string, unknown>): this {
    Object.assign(this.#claims, claims);
    return this;
  }
}

export async function jwtVerify(
  token: string,
  _keys: unknown,
  { issuer, audience, clockTolerance = 0, currentDate = new Date() }: JWTVerifyOptions,
): Promise<JWTVerifyResult> {
  const payload = decodeJwt(token);
  if (payload.iss !== issuer || payload.aud !== audience) throw new Error("the token is another's");
  if (payload.exp! + Number(clockTolerance) <= currentDate.getTime() / 1000) throw new Error("the token has expired");
  return { payload, protectedHeader: { ...decodeProtectedHeader(token), alg: "EdDSA" } };
}
