/** Where one can go: agents first, then the rest. A new page is one more line in `places`. */
import { useState } from "preact/hooks";
import { createWords, t } from "../i18n/language.ts";
import { PreferenceSwitches } from "../preferences/switches.tsx";
import { agents } from "../state/agents.ts";
import { Link, path } from "../ui/router.tsx";
import type { Me } from "@berth/shared/users";
import { signOut } from "../state/session.ts";
import { AgentLine, tellAgent } from "../agents/agent-line.tsx";
import { Badge } from "../ui/badge.tsx";
import { Brand } from "../ui/icons.tsx";
import { NewAgent } from "../agents/new-agent.tsx";
import { areTerminalsAtWork } from "../terminal/open-terminals.ts";
import { Confirm } from "../ui/dialog.tsx";
import { useTask } from "../ui/use-task.ts";
import { isPaletteOpen } from "./shortcuts.ts";
import { Failure } from "../ui/failure.tsx";

interface Place {
  href: string;
  name: () => string;
  forAdmins?: true;
}
const places: Place[] = [
  { href: "/search", name: createWords({ en: "Search", ko: "검색" }) },
  { href: "/runs", name: createWords({ en: "Runs", ko: "실행" }) },
  { href: "/use", name: createWords({ en: "Usage", ko: "사용량" }) },
  { href: "/tokens", name: createWords({ en: "API tokens", ko: "API 토큰" }) },
  { href: "/credentials", name: createWords({ en: "Credentials", ko: "자격 증명" }) },
  { href: "/account", name: createWords({ en: "Account", ko: "계정" }) },
  { href: "/users", name: createWords({ en: "Users", ko: "사용자" }), forAdmins: true },
  { href: "/hosts", name: createWords({ en: "Hosts", ko: "호스트" }), forAdmins: true },
  { href: "/audit", name: createWords({ en: "Audit log", ko: "감사 로그" }), forAdmins: true },
];
export const placesOf = ({ role }: Me) => places.filter(({ forAdmins }) => !forAdmins || role === "admin");
export const nameOfPlace = (href: string) => places.find((place) => place.href === href)!.name();

export function Sidebar({ me }: { me: Me }) {
  const words = t().frame;
  return (
    <>
      <Link class="brand" href="/">
        <Brand /> Berth
      </Link>
      <button type="button" class="quiet" aria-keyshortcuts="Control+K" onClick={() => (isPaletteOpen.value = true)}>
        {words.palette.open} <kbd>{words.shortcuts.keys[0]![0]}</kbd>
      </button>
      <nav aria-label={words.places.agents} class="agents">
        <h2>
          {words.places.agents}{" "}
          <span class="count">{agents.value && t().agents.inUse(agents.value.length, me.limits.agents)}</span>
        </h2>
        <ul>
          {agents.value?.map((agent) => (
            <li key={agent.id}>
              <Link href={`/agents/${agent.id}`} within>
                <Badge told={tellAgent(agent)} quiet />
                <span class="name">{agent.name}</span>
                <span class="last">
                  <AgentLine agent={agent} />
                </span>
              </Link>
            </li>
          ))}
        </ul>
        {agents.value && path.value !== "/" && <NewAgent me={me} />}
      </nav>
      <nav aria-label={words.pages} class="places">
        <ul>
          {placesOf(me).map(({ href, name }) => (
            <li key={href}>
              <Link href={href} within>
                {name()}
              </Link>
            </li>
          ))}
          <li>
            <a href="/docs">{words.places.docs}</a>
          </li>
        </ul>
      </nav>
      <PreferenceSwitches />
      <Who me={me} />
    </>
  );
}

function Who({ me }: { me: Me }) {
  const words = t().frame;
  const task = useTask(signOut);
  const [isAsking, setAsking] = useState(false);
  return (
    <div class="who">
      <span class="name" title={t().common.roles[me.role]}>
        {me.user.name}
      </span>
      <button
        type="button"
        class="quiet"
        onClick={() => (areTerminalsAtWork() ? setAsking(true) : void task.run())}
        disabled={task.isBusy}
      >
        {words.signOut}
      </button>
      <Failure error={task.failure} />
      {isAsking && (
        <Confirm title={words.signOutTitle} action={words.signOut} onClose={() => setAsking(false)} act={signOut}>
          <p>{words.signOutLoss}</p>
        </Confirm>
      )}
    </div>
  );
}
