/** The whole page: who is not signed in signs in; everybody else has the sidebar, the workspace bar and one page of the list below. */
import { signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { agentById } from "./state/agents.ts";
import { MenuIcon } from "./ui/icons.tsx";
import { followShortcuts, isHelpOpen, isPaletteOpen } from "./frame/shortcuts.ts";
import { nameOfPlace, Sidebar } from "./frame/sidebar.tsx";
import { UnreachablePage } from "./frame/unreachable.tsx";
import { Warnings, WorkspaceBar } from "./frame/workspace-bar.tsx";
import { AgentPage } from "./pages/agent.tsx";
import { later } from "./pages/later.tsx";
import { NotFoundPage } from "./pages/not-found.tsx";
import { OverviewPage } from "./pages/overview.tsx";
import { match, path } from "./ui/router.tsx";
import type { Me } from "@berth/shared/users";
import { t } from "./i18n/language.ts";
import { activeRuns, askedOf } from "./state/live.ts";
import { tellRun } from "./text/words.ts";
import { endedUnseen } from "./state/ended.ts";
import { session } from "./state/session.ts";

const AccountPage = later(() => import("./pages/account.tsx").then((it) => it.AccountPage), { speaksMore: true });
const AuditPage = later(() => import("./pages/audit.tsx").then((it) => it.AuditPage), { speaksMore: true });
const CredentialsPage = later(() => import("./credentials/credentials-page.tsx").then((it) => it.CredentialsPage), {
  speaksMore: true,
});
const HostsPage = later(() => import("./pages/hosts.tsx").then((it) => it.HostsPage), { speaksMore: true });
const Palette = later(() => import("./frame/palette.tsx").then((it) => it.Palette));
const RunPage = later(() => import("./pages/run.tsx").then((it) => it.RunPage));
const RunsPage = later(() => import("./pages/runs.tsx").then((it) => it.RunsPage), { speaksMore: true });
const SearchPage = later(() => import("./pages/search.tsx").then((it) => it.SearchPage), { speaksMore: true });
const ShortcutHelp = later(() => import("./frame/palette.tsx").then((it) => it.ShortcutHelp));
const SignInPage = later(() => import("./pages/sign-in.tsx").then((it) => it.SignInPage), { speaksMore: true });
const TokensPage = later(() => import("./pages/tokens.tsx").then((it) => it.TokensPage), { speaksMore: true });
const UsePage = later(() => import("./pages/use.tsx").then((it) => it.UsePage), { speaksMore: true });
const UsersPage = later(() => import("./pages/users.tsx").then((it) => it.UsersPage), { speaksMore: true });

type Params = Record<string, string>;
interface PageSpec {
  pattern: string;
  title: (params: Params) => string;
  forAdmins?: true;
  page: (params: Params, me: Me) => ComponentChildren;
}

const ofAgent: Pick<PageSpec, "title" | "page"> = {
  title: ({ id }) => agentById(id!)?.name ?? t().frame.agent,
  page: ({ id, tab }, me) => <AgentPage key={id} id={id!} tab={tab ?? "conversation"} me={me} />,
};

const pages: PageSpec[] = [
  { pattern: "/", title: () => t().agents.title, page: (_, me) => <OverviewPage me={me} /> },
  { pattern: "/agents/:id", ...ofAgent },
  { pattern: "/agents/:id/:tab", ...ofAgent },
  { pattern: "/runs", title: () => nameOfPlace("/runs"), page: () => <RunsPage /> },
  { pattern: "/runs/:id", title: () => t().frame.run, page: ({ id }) => <RunPage key={id} id={id!} /> },
  { pattern: "/search", title: () => nameOfPlace("/search"), page: () => <SearchPage /> },
  { pattern: "/account", title: () => nameOfPlace("/account"), page: (_, me) => <AccountPage me={me} /> },
  { pattern: "/credentials", title: () => nameOfPlace("/credentials"), page: () => <CredentialsPage /> },
  { pattern: "/use", title: () => nameOfPlace("/use"), page: (_, me) => <UsePage me={me} /> },
  { pattern: "/tokens", title: () => nameOfPlace("/tokens"), page: () => <TokensPage /> },
  { pattern: "/users", title: () => nameOfPlace("/users"), forAdmins: true, page: (_, me) => <UsersPage me={me} /> },
  { pattern: "/hosts", title: () => nameOfPlace("/hosts"), forAdmins: true, page: () => <HostsPage /> },
  { pattern: "/audit", title: () => nameOfPlace("/audit"), forAdmins: true, page: () => <AuditPage /> },
];

export function App() {
  const now = session.value;
  if (now.kind === "unknown")
    return (
      <p class="splash" role="status">
        {t().common.moment}
      </p>
    );
  if (now.kind === "unreachable") return <UnreachablePage why={now.why} />;
  if (now.kind === "out") return <SignInPage why={now.why} oidc={now.oidc} />;
  return <SignedIn me={now.me} />;
}

/** Whether the sidebar covers a narrow page. */
const isMenuOpen = signal(false);

function SignedIn({ me }: { me: Me }) {
  const found = findPage(path.value, me);
  const words = t().frame;
  const page = found?.spec.title(found.params) ?? words.notFound;
  const main = useRef<HTMLElement>(null);
  const isFirst = useRef(true);
  const { title, mark } = markOf(page);
  useEffect(followShortcuts, []);
  useEffect(() => {
    document.title = title;
    document.querySelector<HTMLLinkElement>("link[rel=icon]")!.href = mark ? `/favicon-${mark}.svg` : "/favicon.svg";
  }, [title, mark]);
  useEffect(() => {
    isMenuOpen.value = false;
    // A new page is read from its beginning, but for the first one: there the browser decides.
    if (!isFirst.current && !main.current?.contains(document.activeElement))
      main.current?.focus({ preventScroll: true });
    isFirst.current = false;
  }, [path.value]);
  return (
    <div
      class={`shell ${isMenuOpen.value ? "menu-open" : ""}`}
      onKeyDown={(event) => event.key === "Escape" && (isMenuOpen.value = false)}
    >
      <a class="skip" href="#main">
        {words.skip}
      </a>
      <header class="top">
        <button
          type="button"
          class="quiet menu"
          aria-expanded={isMenuOpen.value}
          aria-controls="sidebar"
          aria-label={words.menu}
          onClick={() => (isMenuOpen.value = !isMenuOpen.value)}
        >
          <MenuIcon />
        </button>
        <WorkspaceBar me={me} />
      </header>
      <aside id="sidebar" class="sidebar" aria-label={words.navigation}>
        <Sidebar me={me} />
      </aside>
      <button
        type="button"
        class="backdrop"
        tabIndex={-1}
        aria-hidden="true"
        onClick={() => (isMenuOpen.value = false)}
      />
      <main id="main" ref={main} tabIndex={-1}>
        <Warnings me={me} />
        {found ? found.spec.page(found.params, me) : <NotFoundPage />}
      </main>
      {isPaletteOpen.value && <Palette me={me} />}
      {isHelpOpen.value && <ShortcutHelp />}
    </div>
  );
}

/** What a tab in the background tells: that a run waits for an answer, or how one ended. */
function markOf(page: string): { title: string; mark: "asks" | "done" | "failed" | null } {
  const words = t().frame;
  const ended = endedUnseen.value;
  if (activeRuns.value.some((run) => askedOf(run) !== null)) return { title: words.title(page, "asks"), mark: "asks" };
  if (!ended) return { title: words.title(page, null), mark: null };
  const mark = tellRun(ended).tone === "bad" ? "failed" : "done";
  return { title: words.title(agentById(ended.agentId)?.name ?? page, mark), mark };
}

function findPage(current: string, me: Me): { spec: PageSpec; params: Params } | null {
  for (const spec of pages) {
    const params = match(spec.pattern, current);
    if (params && (!spec.forAdmins || me.role === "admin")) return { spec, params };
  }
  return null;
}
