/** The settings of both processes: one schema over the environment, so that a bad or unknown `BERTH_` variable stops the start with one sentence. */
import { z } from "zod";
import { modelKeyNames, type ModelKeyName } from "./kinds/runtimes.ts";

const numberAs = (written: RegExp, message: string) => (min: number, max: number) =>
  z
    .string()
    .regex(written, message)
    .transform(Number)
    .pipe(z.number().min(min, `must be at least ${min}`).max(max, `must be at most ${max}`));
const whole = numberAs(/^\d+$/, "must be a whole number");
const decimal = numberAs(/^\d+(\.\d+)?$/, "must be a number");
const port = whole(1, 65_535);
const exactHttpUrl = z.url({ protocol: /^https?$/, error: "must be an http or https address" });
const httpUrl = exactHttpUrl.transform((url) => url.replace(/\/+$/, ""));
/** The page and the API are at the root of their name. */
const origin = exactHttpUrl
  .transform((url) => new URL(url))
  .refine(
    ({ origin: own, href }) => href === `${own}/`,
    "must be scheme, name and port alone, such as https://berth.example.com",
  )
  .transform(({ origin: own }) => own);
const text = z.string().min(1, "must not be empty");
const list = z.string().transform((value) =>
  value
    .split(",")
    .map((item) => item.trim())
    .filter(Boolean),
);

const modelKey = text.optional();
const modelKeys = Object.fromEntries(modelKeyNames.map((name) => [name, modelKey])) as Record<
  ModelKeyName,
  typeof modelKey
>;

/** Variable → schema, with the contract's defaults; a default of `undefined` means the setting is off or derived. */
export const variables = {
  BERTH_PORT: port.default(8080),
  BERTH_LISTEN: text.default("127.0.0.1"),
  BERTH_PUBLIC_URL: origin.optional(),
  BERTH_TRUST_PROXY: whole(0, 10).default(0),
  BERTH_DATA_DIR: text.default("./data"),
  BERTH_OIDC_ISSUER: exactHttpUrl.optional(),
  BERTH_OIDC_CLIENT_ID: text.optional(),
  BERTH_OIDC_CLIENT_SECRET: text.optional(),
  BERTH_OIDC_ADMINS: list.default([]),
  BERTH_HOST_PORT: port.default(8081),
  BERTH_HOST_LISTEN: text.optional(),
  BERTH_HOST_URL: httpUrl.refine((url) => new URL(url).pathname === "/", "must have no path").optional(),
  BERTH_HOST_TLS_CERT: text.optional(),
  BERTH_HOST_TLS_KEY: text.optional(),
  BERTH_ALLOW_HTTP_HOSTS: whole(0, 1).default(0),
  BERTH_HOST_DATA_DIR: text.default("./data/host"),
  BERTH_GATEWAY_URL: httpUrl.optional(),
  BERTH_JOIN_TOKEN: text.optional(),
  BERTH_HOST_NAME: text.max(100).optional(),
  DOCKER_HOST: text
    .regex(/^unix:\/\/\//, "must be the socket of an engine on this machine, as unix:///var/run/docker.sock")
    .optional(),
  BERTH_IMAGE: text.default("berth-workspace"),
  BERTH_RUNTIME: text.optional(),
  BERTH_MEMORY_BYTES: whole(64 * 2 ** 20, 2 ** 42).default(1_073_741_824),
  BERTH_MEMORY_WARN_BYTES: whole(2 ** 20, 2 ** 42).default(800_000_000),
  BERTH_RUN_MEMORY_BYTES: whole(0, 2 ** 42).default(268_435_456),
  BERTH_CPUS: decimal(0.05, 1024).default(1),
  BERTH_PIDS: whole(32, 65_536).default(512),
  BERTH_DISK_BYTES: whole(32 * 2 ** 20, 2 ** 45).default(10_737_418_240),
  BERTH_LOG_BYTES: whole(4096, 2 ** 40).default(268_435_456),
  BERTH_MAX_WORKSPACES: whole(1, 100_000).default(200),
  BERTH_RUN_BUDGET_USD: decimal(0, 1_000_000).optional(),
  BERTH_DAILY_BUDGET_USD: decimal(0, 1_000_000).optional(),
  BERTH_DAILY_TEXT_BYTES: whole(2 ** 20, 2 ** 42).default(134_217_728),
  BERTH_RETENTION_DAYS: whole(1, 36_500).default(30),
  BERTH_MAX_AGENTS: whole(1, 1000).default(10),
  BERTH_MAX_RUNS: whole(1, 100).default(3),
  BERTH_AHEAD: whole(0, 1).default(1),
  BERTH_IDLE_SECONDS: whole(1, 31_536_000).default(30),
  BERTH_RUN_TIMEOUT_SECONDS: whole(1, 31_536_000).default(3600),
  BERTH_POLL_SECONDS: decimal(0.1, 3600).default(5),
  BERTH_EGRESS: z.enum(["none", "allowlist", "open"], "must be none, allowlist or open").default("allowlist"),
  BERTH_EGRESS_ALLOW: list.default([]),
  BERTH_EGRESS_PRIVATE: list.default([]),
  ...modelKeys,
  BERTH_MODEL_URL: httpUrl.optional(),
} satisfies Record<string, z.ZodType>;

const settingsSchema = z.object(variables);
type Derived = "BERTH_PUBLIC_URL" | "BERTH_HOST_URL" | "BERTH_HOST_LISTEN";
export type Settings = z.infer<typeof settingsSchema> & Record<Derived, string>;
export type Environment = Record<string, string | undefined>;

/** A setting that stops the start: `message` is one sentence that names the variable and says what to do. */
export class SettingsError extends Error {
  override readonly name = "SettingsError";
}

/** Reads the settings; an empty variable counts as absent. Throws a SettingsError for an unknown or bad one. */
export function parseSettings(env: Environment): Settings {
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value !== ""));
  const unknown = Object.keys(given).find((name) => name.startsWith("BERTH_") && !(name in variables));
  if (unknown) throw new SettingsError(`${unknown} is not a setting of Berth; .env.example lists them all.`);
  const parsed = settingsSchema.safeParse(given);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    throw new SettingsError(`${issue.path.join(".")} ${issue.message}; .env.example says what it may be.`);
  }
  const settings = parsed.data;
  if (settings.BERTH_MEMORY_WARN_BYTES > settings.BERTH_MEMORY_BYTES && given["BERTH_MEMORY_WARN_BYTES"])
    throw new SettingsError("BERTH_MEMORY_WARN_BYTES must not be above BERTH_MEMORY_BYTES.");
  if ((settings.BERTH_OIDC_ISSUER === undefined) !== (settings.BERTH_OIDC_CLIENT_ID === undefined))
    throw new SettingsError("BERTH_OIDC_ISSUER and BERTH_OIDC_CLIENT_ID go together: set both or neither.");
  const hasCertificate = settings.BERTH_HOST_TLS_CERT !== undefined;
  if (hasCertificate !== (settings.BERTH_HOST_TLS_KEY !== undefined))
    throw new SettingsError("BERTH_HOST_TLS_CERT and BERTH_HOST_TLS_KEY go together: set both or neither.");
  const scheme = hasCertificate ? "https" : "http";
  const hostUrl = settings.BERTH_HOST_URL ?? `${scheme}://127.0.0.1:${settings.BERTH_HOST_PORT}`;
  if (hasCertificate && !hostUrl.startsWith("https:"))
    throw new SettingsError("BERTH_HOST_URL must begin with https where BERTH_HOST_TLS_CERT is set.");
  return {
    ...settings,
    BERTH_PUBLIC_URL: settings.BERTH_PUBLIC_URL ?? `http://localhost:${settings.BERTH_PORT}`,
    BERTH_HOST_URL: hostUrl,
    BERTH_HOST_LISTEN:
      settings.BERTH_HOST_LISTEN ?? (isServedElsewhere(hostUrl, hasCertificate) ? "0.0.0.0" : "127.0.0.1"),
  };
}

/**
 * Whether the gateway comes from another machine straight to this process. An https address without a certificate here
 * is that of a tunnel or proxy on this machine.
 */
function isServedElsewhere(hostUrl: string, hasCertificate: boolean): boolean {
  const { protocol, hostname } = new URL(hostUrl);
  return !isLoopback(hostname) && (protocol === "http:" || hasCertificate);
}

/** Whether a host name of a URL is this machine itself. */
export const isLoopback = (hostname: string) => /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(hostname);
