/** What every schedule begins with: users with agents, tokens and triggers, an admin, and hosts that have joined. */
import { onlyPlace, type Place } from "../machine/machine.ts";
import { publicJwk, startMs } from "../world/globals.ts";
import type { GatewayDatabase } from "./d1.ts";
import { settings } from "./gateway.ts";

export const users = ["usr_a", "usr_b", "usr_c"] as const;
export const agentsPerUser = 4;
export const admin = "usr_admin";
/** A run's time, far beyond the length of a schedule: what nobody ends is seen. */
const runTimeout = { BERTH_RUN_TIMEOUT_SECONDS: "300" };
export const places: [Place, Place] = [
  { ...onlyPlace, hostId: "hst_one", name: "host-one", settings: runTimeout },
  { hostId: "hst_two", url: "http://host-two", port: 8082, name: "host-two", settings: runTimeout },
];
const time = new Date(startMs - 3_600_000).toISOString();
const farTime = "2100-01-01T00:00:00.000Z";
const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");

/** A credential of the user's, good for ever. */
export function tokenOf(userId: string): string {
  const claims = {
    iss: settings.BERTH_PUBLIC_URL,
    aud: "berth",
    sub: userId,
    jti: userId.replace("usr", "tok"),
    exp: Date.parse(farTime) / 1000,
  };
  return `${encode({ alg: "EdDSA", typ: "at+jwt", kid: "simulated" })}.${encode(claims)}.${"A".repeat(86)}`;
}

export const agentsOf = (userId: string) =>
  Array.from({ length: agentsPerUser }, (_, at) => `${userId.replace("usr", "agt")}${at + 1}`);
/** One trigger an agent; of every second one deliveries are signed, of the others they show the secret. */
export const triggerOf = (agentId: string) => agentId.replace("agt", "trg");
export const isSigned = (agentId: string) => Number(agentId.at(-1)) % 2 === 0;
export const secretOf = (agentId: string) =>
  isSigned(agentId) ? `whsec_${Buffer.from(`secret of ${agentId}`).toString("base64")}` : `secret-of-${agentId}`;

export function makeUsers(database: GatewayDatabase): void {
  for (const id of [...users, admin]) {
    const role = id === admin ? "admin" : "user";
    database.rows(
      "insert into users (id, name, role, disabled, created_at) values (?, ?, ?, 0, ?)",
      id,
      id,
      role,
      time,
    );
    database.rows(
      "insert into tokens (id, user_id, kind, name, created_at, expires_at) values (?, ?, 'api', 't', ?, ?)",
      id.replace("usr", "tok"),
      id,
      time,
      farTime,
    );
  }
  for (const userId of users) for (const agentId of agentsOf(userId)) makeAgent(database, userId, agentId);
}

function makeAgent(database: GatewayDatabase, userId: string, agentId: string): void {
  const runtime = Number(agentId.at(-1)) === 3 ? "claude" : "shell";
  database.rows(
    `insert into agents (id, user_id, name, runtime, version, created_at, updated_at, env_keys)
      values (?, ?, ?, ?, 1, ?, ?, '[]')`,
    agentId,
    userId,
    agentId,
    runtime,
    time,
    time,
  );
  database.rows(
    `insert into triggers (id, user_id, agent_id, name, scheme, template, secret, created_at, updated_at)
      values (?, ?, ?, 't', ?, '{{payload}}', ?, ?, ?)`,
    triggerOf(agentId),
    userId,
    agentId,
    isSigned(agentId) ? "standard" : "token",
    `simulated.AAAA.${Buffer.from(secretOf(agentId)).toString("base64url")}`,
    time,
    time,
  );
}

export function makeHost(database: GatewayDatabase, { hostId, url, name }: Place): void {
  const { x } = publicJwk as { x: string };
  const publicKey = JSON.stringify({ kty: "OKP", crv: "Ed25519", x });
  database.rows(
    "insert into hosts (id, name, url, public_key, created_at) values (?, ?, ?, ?, ?)",
    hostId,
    name,
    url,
    publicKey,
    time,
  );
}
