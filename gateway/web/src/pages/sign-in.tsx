/** Sign-in: by a link (its code is used before this page shows) or by pasting a token. */
import { useState } from "preact/hooks";
import { Brand } from "../ui/icons.tsx";
import { useTask } from "../ui/use-task.ts";
import { signIn, type OutReason } from "../state/session.ts";
import { Failure } from "../ui/failure.tsx";
import { explain } from "../api/api.ts";
import { t } from "../i18n/language.ts";
import { PreferenceSwitches } from "../preferences/switches.tsx";

export function SignInPage({ why, oidc }: { why: OutReason | null; oidc: boolean }) {
  const words = t().signIn;
  const [token, setToken] = useState("");
  const task = useTask(async () => {
    const failure = await signIn({ token: token.trim().replace(/^Bearer\s+/i, "") });
    if (failure) throw failure instanceof Error ? failure : new Error(t().signIn.why[failure]);
  });
  const submit = (event: Event) => {
    event.preventDefault();
    if (token.trim()) void task.run();
  };
  return (
    <main class="sign-in">
      <h1>
        <Brand /> Berth
      </h1>
      <p>{t().frame.tagline}</p>
      {why && (
        <p class="warning warn" role="status">
          {why instanceof Error ? explain(why) : words.why[why]}
        </p>
      )}
      {oidc && (
        <a class="button primary" href="/session/oidc">
          {words.signIn}
        </a>
      )}
      <form onSubmit={submit}>
        <label>
          {oidc ? words.orWithToken : words.withToken}
          <input
            type="password"
            value={token}
            onInput={(event) => setToken(event.currentTarget.value)}
            autocomplete="off"
            spellcheck={false}
            placeholder="eyJ…"
          />
        </label>
        <Failure error={task.failure} />
        <button type="submit" class={oidc ? "" : "primary"} disabled={task.isBusy}>
          {task.isBusy ? t().common.moment : oidc ? words.withIt : words.signIn}
        </button>
      </form>
      <p class="muted">
        {words.link(oidc, (code) => (
          <code>{code}</code>
        ))}
      </p>
      <PreferenceSwitches />
    </main>
  );
}
