/** `npm run -s worker-secrets -- URL [--user NAME] [--link]`: what a deployment on Workers needs and nobody else makes, as the commands that put it there. */
import { parseArgs } from "node:util";
import { randomText, newId, sha256Hex } from "@berth/shared/ids";
import { messageOf } from "@berth/shared/log";
import { userName } from "@berth/shared/users";
import { sql, type SQL } from "drizzle-orm";
import { SQLiteSyncDialect } from "drizzle-orm/sqlite-core";
import { auditChange } from "../../gateway/src/access/audit.ts";
import { createSigningJwk } from "../../gateway/src/keys/keyring.ts";
import { systemActor } from "../../gateway/src/http/caller.ts";

const codeMs = 10 * 60_000;
const usage = "Usage: npm run -s worker-secrets -- https://ADDRESS.OF.THE.WORKER [--user admin] [--link]";

try {
  process.stdout.write(await describeDeployment(process.argv.slice(2)));
} catch (error) {
  process.stderr.write(`${messageOf(error)}\n`);
  process.exitCode = 2;
}

/** The commands in order; with `--link` those of a new sign-in link alone. */
async function describeDeployment(args: string[]): Promise<string> {
  const { url, user, isLinkOnly } = readArguments(args);
  const { statements, code } = await signInLink(user, Date.now());
  const link = [
    `# The admin ${user}, and a link that signs in once within 10 minutes (make another: --link):`,
    `npx wrangler d1 execute berth --remote --command ${quote(statements)}`,
    `# ${url}/#code=${code}`,
    "",
  ];
  if (isLinkOnly) return link.join("\n");
  const jwk = JSON.stringify(await createSigningJwk());
  return [
    "# The database, once: put the id that it prints into wrangler.toml.",
    "npx wrangler d1 create berth",
    "# Its tables, now and after each upgrade, before the code:",
    "npx wrangler d1 migrations apply berth --remote",
    `# The code and the dashboard. BERTH_PUBLIC_URL in wrangler.toml must be ${url}.`,
    "npx wrangler deploy",
    "# The signing key, made just now and kept nowhere. With another, all tokens end and triggers need new secrets.",
    "# The space before the command keeps it out of the history of most shells.",
    ` printf %s ${quote(jwk)} | npx wrangler secret put BERTH_SIGNING_KEY`,
    ...link,
  ].join("\n");
}

function readArguments(args: string[]) {
  const options = { user: { type: "string", default: "admin" }, link: { type: "boolean", default: false } } as const;
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true });
  const url = URL.parse(positionals[0] ?? "");
  const user = userName.safeParse(values.user);
  if (!url || !/^https?:$/.test(url.protocol) || positionals.length !== 1 || !user.success) throw new Error(usage);
  return { url: url.origin, user: user.data, isLinkOnly: values.link };
}

/** The statements that make an admin and a sign-in code, as one text, and the code. */
async function signInLink(name: string, now: number): Promise<{ statements: string; code: string }> {
  const code = randomText(32);
  const id = newId("usr");
  const time = new Date(now).toISOString();
  const expiresAt = new Date(now + codeMs).toISOString();
  const entry = { actor: systemActor, address: null, target: { id, name } };
  const statements = [
    sql`insert into users (id, name, role, disabled, created_at) values (${id}, ${name}, 'admin', 0, ${time}) on conflict (name) do nothing`,
    auditChange(now, { ...entry, action: "user.created", detail: { role: "admin" } }),
    sql`update users set role = 'admin' where name = ${name} and role <> 'admin'`,
    auditChange(now, { ...entry, action: "user.promoted" }),
    sql`insert into sign_in_codes (hash, user_id, expires_at) select ${await sha256Hex(code)}, id, ${expiresAt} from users where name = ${name}`,
  ];
  return { statements: statements.map(inline).join("; "), code };
}

/** The statement on one line, with its values in it. */
function inline(statement: SQL): string {
  return new SQLiteSyncDialect().sqlToQuery(statement.inlineParams()).sql.replaceAll(/\s+/g, " ").trim();
}

/** As one word of a shell. */
function quote(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
