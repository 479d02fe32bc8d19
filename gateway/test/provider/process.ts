/** For tests: a real OpenID provider as a process of its own. Everybody is signed in at once, as whom `/control/who` says. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Provider } from "oidc-provider";

interface Config {
  port: number;
  jwks: { keys: object[] };
  algorithm: string;
  redirectUris: string[];
  accounts: Record<string, Record<string, unknown>>;
}

const { port, jwks, algorithm, redirectUris, accounts } = JSON.parse(process.env["PROVIDER_CONFIG"]!) as Config;
const asked: Record<string, number> = {};
let who = "";
// Its test is gone: broken off, perhaps, with no time to end this.
process.stdin.on("end", () => process.exit()).resume();
const server = createServer(
  (request, response) =>
    void answer(request, response).catch((error: unknown) => {
      process.stderr.write(`${String(error)}\n`);
      response.writeHead(500).end();
    }),
);
server.listen(port, "127.0.0.1", () => process.stdout.write(`${(server.address() as AddressInfo).port}\n`));

const client = (client_id: string) => ({
  client_id,
  ...(client_id === "public"
    ? { token_endpoint_auth_method: "none" }
    : { client_secret: `secret of ${client_id}, which is long enough` }),
  redirect_uris: redirectUris,
  response_types: ["code"],
  grant_types: ["authorization_code"],
  id_token_signed_response_alg: algorithm,
});
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [client("berth"), client("other"), client("public")],
  jwks,
  enabledJWA: { idTokenSigningAlgValues: ["RS256", "EdDSA", "HS256"] },
  cookies: { keys: ["a key for tests"] },
  claims: { openid: ["sub"], profile: ["name", "preferred_username"], email: ["email", "email_verified"] },
  features: { devInteractions: { enabled: false } },
  ttl: { IdToken: 3600, AccessToken: 3600, Session: 3600, Grant: 3600, Interaction: 600, AuthorizationCode: 60 },
  interactions: { url: (_context: unknown, { uid }: { uid: string }) => `/login/${uid}` },
  findAccount: (_context: unknown, id: string) => ({ accountId: id, claims: () => ({ sub: id, ...accounts[id] }) }),
  async loadExistingGrant(context: {
    oidc: { provider: typeof Provider; client: { clientId: string }; session: { accountId: string } };
  }) {
    const { Grant } = provider;
    const grant = new Grant({ clientId: context.oidc.client.clientId, accountId: context.oidc.session.accountId });
    grant.addOIDCScope("openid profile email");
    await grant.save();
    return grant;
  },
});
const callback = provider.callback();

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { pathname, searchParams } = new URL(request.url!, "http://provider");
  if (pathname === "/control/who") {
    who = searchParams.get("sub")!;
    return void response.end();
  }
  if (pathname === "/control/asked") return void response.end(JSON.stringify(asked));
  asked[pathname] = (asked[pathname] ?? 0) + 1;
  if (!pathname.startsWith("/login/")) return void (await callback(request, response));
  const result = who === "nobody" ? { error: "access_denied" } : { login: { accountId: who, remember: false } };
  await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
}
