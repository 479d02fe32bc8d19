/** Sign-in: by a link (its code is used before this page shows) or by pasting a token. */
import { useEffect, useState } from "preact/hooks";
import { Brand } from "../ui/icons.tsx";
import { useTask } from "../ui/use-task.ts";
import { signIn, startSession } from "../state/session.ts";
import { Failure } from "../ui/failure.tsx";

export function SignInPage({ why, oidc }: { why: string | null; oidc: boolean }) {
  const [token, setToken] = useState("");
  const task = useTask(async () => {
    const failure = await signIn({ token: token.trim().replace(/^Bearer\s+/i, "") });
    if (failure) throw new Error(failure);
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
      <p>Coding agents in a container of your own.</p>
      {why && (
        <p class="warning warn" role="status">
          {why}
        </p>
      )}
      {oidc && (
        <a class="button primary" href="/session/oidc">
          Sign in
        </a>
      )}
      <form onSubmit={submit}>
        <label>
          {oidc ? "Or with an API token" : "Sign in with an API token"}
          <input
            type="password"
            value={token}
            onInput={(event) => setToken(event.currentTarget.value)}
            autocomplete="off"
            spellcheck={false}
            placeholder="eyJ…"
          />
        </label>
        <Failure words={task.failure} />
        <button type="submit" class={oidc ? "" : "primary"} disabled={task.isBusy}>
          {task.isBusy ? "One moment …" : oidc ? "Sign in with it" : "Sign in"}
        </button>
      </form>
      <p class="muted">
        {oidc ? "No account there" : "No token"}? Ask an admin of this Berth for a sign-in link: they make one for you
        under Users, and it works once, within an hour. Who runs it finds one in what <code>npm start</code> prints, or
        prints another: <code>npm run -s link -- NAME</code>.
      </p>
    </main>
  );
}

/** Between two tries while nothing answers. */
const againMs = 3000;

export function UnreachablePage({ why }: { why: string }) {
  const task = useTask(startSession);
  useEffect(() => {
    const timer = setInterval(() => void task.run(), againMs);
    return () => clearInterval(timer);
  }, []);
  return (
    <main class="sign-in">
      <h1>
        <Brand /> Berth
      </h1>
      <p class="warning bad" role="alert">
        {why}
      </p>
      <button type="button" class="primary" onClick={() => void task.run()} disabled={task.isBusy}>
        Try again
      </button>
    </main>
  );
}
