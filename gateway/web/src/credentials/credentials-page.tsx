/** What the user's agents use and never see: credentials for git, and secrets of other APIs. Values go one way. */
import "../style/few.css";
import "../style/lists.css";
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import type { GitCredential, Secret } from "@berth/shared/credentials/credentials";
import { call, getAll } from "../api/api.ts";
import { t } from "../i18n/language.ts";
import { Ago } from "../ui/ago.tsx";
import { Confirm } from "../ui/dialog.tsx";
import { Failure } from "../ui/failure.tsx";
import { useAnswer } from "../ui/use-answer.ts";
import { TableHead } from "../ui/table-head.tsx";
import { GitForm, SecretForm } from "./forms.tsx";

export function CredentialsPage() {
  const words = t().credentials;
  return (
    <section class="page scroller">
      <h1>{words.title}</h1>
      <p class="lead muted">{words.what}</p>
      <Kept<GitCredential>
        path="/v1/git-credentials"
        title={words.git}
        what={words.gitWhat}
        none={words.gitNone}
        nameOf={({ host }) => host}
        limits={({ username, readOnly, repositories }) => [
          username,
          repositories?.join(", ") ?? words.allRepositories,
          ...(readOnly ? [words.readOnly] : []),
        ]}
        form={(onKept) => <GitForm onKept={onKept} />}
      />
      <Kept<Secret>
        path="/v1/secrets"
        title={words.secrets}
        what={words.secretsWhat((code) => (
          <code>{code}</code>
        ))}
        none={words.secretsNone}
        nameOf={({ name }) => name}
        limits={({ hosts, header, methods, paths }) => [
          hosts.join(", "),
          header,
          ...(methods.length < 6 ? [methods.join(", ")] : []),
          ...(paths.join() === "/" ? [] : [paths.join(", ")]),
        ]}
        form={(onKept) => <SecretForm onKept={onKept} />}
      />
    </section>
  );
}

interface KeptProps<T> {
  path: string;
  title: string;
  what: ComponentChildren;
  none: string;
  nameOf: (one: T) => string;
  /** What it is for, in a few words each. */
  limits: (one: T) => string[];
  form: (onKept: () => Promise<void>) => ComponentChildren;
}

function Kept<T extends { createdAt: string; lastUsedAt: string | null }>(props: KeptProps<T>) {
  const { path, title, what, none, nameOf, limits, form } = props;
  const words = t().credentials;
  const { found: items, failure, load } = useAnswer(() => getAll<T>(path));
  const [removing, setRemoving] = useState<string | null>(null);
  return (
    <section class="kept">
      <h2>{title}</h2>
      <p class="muted">{what}</p>
      <Failure error={failure} />
      {items?.length === 0 && <p class="muted">{none}</p>}
      {items && items.length > 0 && (
        <table class="list">
          <TableHead names={[t().common.name, words.usedFor, t().common.lastUsed]} hasActions />
          <tbody>
            {items.map((one) => (
              <tr key={nameOf(one)}>
                <td class="break">{nameOf(one)}</td>
                <td class="break" data-label={words.usedFor}>
                  {limits(one).join(" · ")}
                </td>
                <td data-label={t().common.lastUsed}>
                  {one.lastUsedAt ? <Ago time={one.lastUsedAt} /> : t().common.never}
                </td>
                <td class="number">
                  <button
                    type="button"
                    class="quiet"
                    aria-label={t().common.deleteOne(nameOf(one))}
                    onClick={() => setRemoving(nameOf(one))}
                  >
                    {t().common.deleteAsk}
                  </button>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {form(load)}
      {removing !== null && (
        <Confirm
          title={words.removeTitle(removing)}
          action={t().common.delete}
          onClose={() => setRemoving(null)}
          act={() => call("DELETE", `${path}/${encodeURIComponent(removing)}`).then(load)}
        >
          <p>{words.removeLoss}</p>
        </Confirm>
      )}
    </section>
  );
}
