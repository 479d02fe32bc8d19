/** The forms that keep a credential or a secret; one of the same name takes the place of what was kept. */
import { useState } from "preact/hooks";
import { call } from "../api/api.ts";
import { t } from "../i18n/language.ts";
import { Failure } from "../ui/failure.tsx";
import { useTask } from "../ui/use-task.ts";

type OnKept = () => Promise<void>;
const listOf = (text: string) => text.split(/[\s,]+/).filter(Boolean);

export function GitForm({ onKept }: { onKept: OnKept }) {
  const words = t().credentials;
  const empty = { host: "", username: "", token: "", repositories: "", readOnly: false };
  const { draft, field, check, task } = useForm(empty, async ({ host, username, token, repositories, readOnly }) => {
    const wanted = listOf(repositories);
    const body = { username, token, readOnly, ...(wanted.length > 0 && { repositories: wanted }) };
    await call("PUT", `/v1/git-credentials/${encodeURIComponent(host.trim())}`, body);
    await onKept();
  });
  return (
    <form class="keep" onSubmit={(event) => (event.preventDefault(), void task.run())}>
      <label>
        {words.host}
        <input {...field("host")} required placeholder="github.com" maxLength={200} />
      </label>
      <label>
        {words.username}
        <input {...field("username")} required maxLength={200} />
      </label>
      <label>
        {words.token}
        <input {...field("token")} required type="password" autocomplete="new-password" maxLength={8192} />
      </label>
      <label>
        {words.repositories}
        <input {...field("repositories")} placeholder={words.repositoriesPlaceholder} />
      </label>
      <label class="check">
        <input {...check("readOnly", draft.readOnly)} /> {words.onlyReads}
      </label>
      <Failure error={task.failure} />
      <p class="actions">
        <button type="submit" disabled={task.isBusy}>
          {words.keepGit}
        </button>
      </p>
    </form>
  );
}

export function SecretForm({ onKept }: { onKept: OnKept }) {
  const words = t().credentials;
  const empty = { name: "", value: "", hosts: "", header: "Authorization: Bearer {}", paths: "", readOnly: false };
  const { draft, field, check, task } = useForm(empty, async ({ name, value, hosts, header, paths, readOnly }) => {
    const body = {
      value,
      hosts: listOf(hosts),
      header,
      ...(paths.trim() && { paths: listOf(paths) }),
      ...(readOnly && { methods: ["GET", "HEAD"] }),
    };
    await call("PUT", `/v1/secrets/${encodeURIComponent(name.trim())}`, body);
    await onKept();
  });
  return (
    <form class="keep" onSubmit={(event) => (event.preventDefault(), void task.run())}>
      <label>
        {words.secretName}
        <input {...field("name")} required placeholder="tracker" maxLength={40} />
      </label>
      <label>
        {words.value}
        <input {...field("value")} required type="password" autocomplete="new-password" maxLength={8192} />
      </label>
      <label>
        {words.hosts}
        <input {...field("hosts")} required placeholder="api.example.com" />
      </label>
      <label>
        {words.header}
        <input {...field("header")} required maxLength={500} />
      </label>
      <label>
        {words.paths}
        <input {...field("paths")} placeholder={words.pathsPlaceholder} />
      </label>
      <label class="check">
        <input {...check("readOnly", draft.readOnly)} /> {words.onlyReads}
      </label>
      <Failure error={task.failure} />
      <p class="actions">
        <button type="submit" disabled={task.isBusy}>
          {words.keepSecret}
        </button>
      </p>
    </form>
  );
}

type Draft = Record<string, string | boolean>;

/** What is typed, and how it is kept; once it is, the form is empty. */
function useForm<T extends Draft>(empty: T, keep: (draft: T) => Promise<void>) {
  const [draft, setDraft] = useState(empty);
  const task = useTask(async () => {
    await keep(draft);
    setDraft(empty);
  });
  const field = (name: keyof T & string) => ({
    name,
    value: draft[name] as string,
    autocomplete: "off" as const,
    spellcheck: false,
    onInput: (event: { currentTarget: HTMLInputElement }) => setDraft({ ...draft, [name]: event.currentTarget.value }),
  });
  const check = (name: keyof T & string, checked: boolean) => ({
    type: "checkbox" as const,
    name,
    checked,
    onChange: (event: { currentTarget: HTMLInputElement }) =>
      setDraft({ ...draft, [name]: event.currentTarget.checked }),
  });
  return { draft, field, check, task };
}
