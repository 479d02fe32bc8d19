/** The forms that keep a credential or a secret; one of the same name takes the place of what was kept. */
import type { Forge } from "@berth/shared/credentials/credentials";
import { call } from "../api/api.ts";
import { t } from "../i18n/language.ts";
import { fieldOf, useHeld, useKeptFields } from "../kept/use-kept.ts";
import { Check } from "../ui/name-form.tsx";
import { Form, Options } from "../ui/form.tsx";
import { useTask } from "../ui/use-task.ts";

type OnKept = () => Promise<void>;
/** Whose API opens pull requests. */
const forges: Record<Forge, string> = { github: "GitHub", gitlab: "GitLab", gitea: "Gitea / Forgejo" };
const listOf = (text: string) => text.split(/[\s,]+/).filter(Boolean);

export function GitForm({ onKept }: { onKept: OnKept }) {
  const words = t().credentials;
  const empty = { host: "", username: "", repositories: "", forge: "", readOnly: false };
  const { draft, keep, field, secret, task } = useForm("git", empty, async (draft, token) => {
    const { host, repositories, forge, ...rest } = draft;
    const wanted = listOf(repositories);
    const body = { ...rest, token, forge: forge || null, repositories: wanted.length > 0 ? wanted : null };
    await call("PUT", `/v1/git-credentials/${encodeURIComponent(host.trim())}`, body);
    await onKept();
  });
  return (
    <Form class="keep" kind="" task={task} action={words.keepGit}>
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
        <input {...secret} name="token" />
      </label>
      <label>
        {words.repositories}
        <input {...field("repositories")} placeholder={words.repositoriesPlaceholder} />
      </label>
      <label>
        {words.forge}
        <select {...field("forge")}>
          <option value="">{words.forgeByName}</option>
          <Options of={Object.entries(forges)} />
        </select>
      </label>
      <Check isOn={draft.readOnly} set={(readOnly) => keep({ readOnly })}>
        {words.onlyReads}
      </Check>
    </Form>
  );
}

export function SecretForm({ onKept }: { onKept: OnKept }) {
  const words = t().credentials;
  const empty = { name: "", hosts: "", header: "Authorization: Bearer {}", paths: "", readOnly: false };
  const { draft, keep, field, secret, task } = useForm("secret", empty, async (draft, value) => {
    const { name, hosts, header, paths, readOnly } = draft;
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
    <Form class="keep" kind="" task={task} action={words.keepSecret}>
      <label>
        {words.secretName}
        <input {...field("name")} required placeholder="tracker" maxLength={40} />
      </label>
      <label>
        {words.value}
        <input {...secret} name="value" />
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
      <Check isOn={draft.readOnly} set={(readOnly) => keep({ readOnly })}>
        {words.onlyReads}
      </Check>
    </Form>
  );
}

type Draft = Record<string, string | boolean>;

/** What is typed, the secret in memory alone, and how it is sent; once it is, the form is empty. */
function useForm<T extends Draft>(form: string, empty: T, send: (draft: T, secret: string) => Promise<void>) {
  const [draft, keep, forget] = useKeptFields(`berth.credential.${form}`, empty);
  const [typed, setTyped] = useHeld(`credential.${form}`, "");
  const task = useTask(async () => {
    await send(draft, typed);
    forget();
    setTyped((now) => (now === typed ? "" : now));
  });
  const secret = {
    value: typed,
    required: true,
    type: "password" as const,
    autocomplete: "new-password" as const,
    maxLength: 8192,
    onInput: (event: { currentTarget: HTMLInputElement }) => setTyped(event.currentTarget.value),
  };
  const field = (name: keyof T & string) => ({
    ...fieldOf(draft, keep)(name),
    autocomplete: "off" as const,
    spellcheck: false,
  });
  return { draft, keep, field, secret, task };
}
