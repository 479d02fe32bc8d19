/** The user's API tokens. */
import { useState } from "preact/hooks";
import type { CreatedToken, Token } from "@berth/shared/users";
import { t } from "../i18n/language.ts";
import { call, getAll, post } from "../api/api.ts";
import { Ago } from "../ui/ago.tsx";
import { Confirm } from "../ui/dialog.tsx";
import { NewTokenForm } from "../users/new-token.tsx";
import { Failure } from "../ui/failure.tsx";
import { TableHead } from "../ui/table-head.tsx";
import { useAnswer } from "../ui/use-answer.ts";

export function TokensPage() {
  const words = t().tokens;
  const { found: tokens, failure, load } = useAnswer(() => getAll<Token>("/v1/tokens"));
  const [revoking, setRevoking] = useState<Token | null>(null);
  return (
    <section class="page scroller">
      <h1>{words.title}</h1>
      <p class="lead muted">
        {words.what(
          (code) => (
            <code>{code}</code>
          ),
          (docs) => (
            <a href="/docs">{docs}</a>
          ),
        )}
      </p>
      <NewTokenForm
        place="token"
        create={(name, expiresInSeconds) => post<CreatedToken>("/v1/tokens", { name, expiresInSeconds })}
        onCreated={load}
      />
      <Failure error={failure} />
      {tokens && tokens.length > 0 && <TokenTable tokens={tokens} revoke={setRevoking} />}
      {tokens?.length === 0 && <p class="muted">{words.none}</p>}
      {revoking && (
        <Confirm
          title={words.revokeTitle(revoking.name)}
          action={words.revoke}
          onClose={() => setRevoking(null)}
          act={() => call("DELETE", `/v1/tokens/${revoking.id}`).then(load)}
        >
          <p>{words.revokeLoss}</p>
        </Confirm>
      )}
    </section>
  );
}

function TokenTable({ tokens, revoke }: { tokens: Token[]; revoke: (token: Token) => void }) {
  const words = t().tokens;
  return (
    <table class="list">
      <TableHead names={[t().common.name, words.created, t().common.lastUsed, words.expires]} hasActions />
      <tbody>
        {tokens.map((token) => (
          <tr key={token.id}>
            <td>{token.name}</td>
            <td data-label={words.created}>
              <Ago time={token.createdAt} />
            </td>
            <td data-label={t().common.lastUsed}>
              {token.lastUsedAt ? <Ago time={token.lastUsedAt} /> : t().common.never}
            </td>
            <td data-label={words.expires}>
              <Ago time={token.expiresAt} isToCome />
            </td>
            <td class="number">
              <button
                type="button"
                class="quiet"
                aria-label={words.revokeOne(token.name)}
                onClick={() => revoke(token)}
              >
                {words.revokeAsk}
              </button>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
