/** The user's API tokens. */
import { useEffect, useState } from "preact/hooks";
import type { CreatedToken, Token } from "@berth/shared/users";
import { call, explain, getAll, post } from "../api/api.ts";
import { Ago, Until } from "../ui/ago.tsx";
import { Confirm } from "../ui/confirm.tsx";
import { NewTokenForm } from "./new-token.tsx";
import { Failure } from "../ui/failure.tsx";
import { TableHead } from "../ui/table-head.tsx";

export function TokensPage() {
  const [tokens, setTokens] = useState<Token[] | null>(null);
  const [failure, setFailure] = useState<string | null>(null);
  const [revoking, setRevoking] = useState<Token | null>(null);
  const load = () => getAll<Token>("/v1/tokens").then(setTokens, (error: unknown) => setFailure(explain(error)));
  useEffect(() => void load(), []);
  return (
    <section class="page scroller">
      <h1>API tokens</h1>
      <p class="lead muted">
        A program that has one acts as you: it sends <code>Authorization: Bearer …</code>. See{" "}
        <a href="/docs">the API</a>.
      </p>
      <NewTokenForm
        create={(name, expiresInSeconds) => post<CreatedToken>("/v1/tokens", { name, expiresInSeconds })}
        onCreated={load}
      />
      <Failure words={failure} />
      {tokens && tokens.length > 0 && <TokenTable tokens={tokens} revoke={setRevoking} />}
      {tokens?.length === 0 && (
        <p class="muted">No tokens. Make one for each program, so that each can be revoked alone.</p>
      )}
      {revoking && (
        <Confirm
          title={`Revoke ${revoking.name}?`}
          action="Revoke"
          onClose={() => setRevoking(null)}
          act={() => call("DELETE", `/v1/tokens/${revoking.id}`).then(load)}
        >
          <p>Whatever uses it is refused at once, also on sockets that are open.</p>
        </Confirm>
      )}
    </section>
  );
}

function TokenTable({ tokens, revoke }: { tokens: Token[]; revoke: (token: Token) => void }) {
  return (
    <table class="list">
      <TableHead names={["Name", "Made", "Used last", "Expires"]} hasActions />
      <tbody>
        {tokens.map((token) => (
          <tr key={token.id}>
            <td>{token.name}</td>
            <td data-label="made">
              <Ago time={token.createdAt} />
            </td>
            <td data-label="used">{token.lastUsedAt ? <Ago time={token.lastUsedAt} /> : "never"}</td>
            <td data-label="expires">
              <Until time={token.expiresAt} />
            </td>
            <td class="number">
              <button type="button" class="quiet" aria-label={`Revoke ${token.name}`} onClick={() => revoke(token)}>
                Revoke …
              </button>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
