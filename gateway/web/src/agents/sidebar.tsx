/** Where one can go: agents first, then the rest. A new page is one more line in `places`. */
import { agents } from "../state/agents.ts";
import { Link, path } from "../ui/router.tsx";
import type { Me } from "@berth/shared/users";
import { signOut } from "../state/session.ts";
import { AgentLine, tellAgent } from "./agent-line.tsx";
import { Badge } from "../ui/badge.tsx";
import { Brand } from "../ui/icons.tsx";
import { NewAgent } from "./new-agent.tsx";
import { useTask } from "../ui/use-task.ts";
import { Failure } from "../ui/failure.tsx";

const places: { href: string; name: string; forAdmins?: true }[] = [
  { href: "/search", name: "Search" },
  { href: "/runs", name: "Runs" },
  { href: "/tokens", name: "Tokens" },
  { href: "/account", name: "Account" },
  { href: "/users", name: "Users", forAdmins: true },
  { href: "/hosts", name: "Hosts", forAdmins: true },
  { href: "/audit", name: "Audit", forAdmins: true },
];

export function Sidebar({ me }: { me: Me }) {
  const task = useTask(signOut);
  const mine = places.filter((place) => !place.forAdmins || me.role === "admin");
  return (
    <>
      <Link class="brand" href="/">
        <Brand /> Berth
      </Link>
      <nav aria-label="Agents" class="agents">
        <h2>
          Agents <span class="count">{agents.value ? `${agents.value.length} of ${me.limits.agents}` : ""}</span>
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
        {agents.value && agents.value.length > 0 && path.value !== "/" && <NewAgent me={me} />}
      </nav>
      <nav aria-label="Pages" class="places">
        <ul>
          {mine.map(({ href, name }) => (
            <li key={href}>
              <Link href={href} within>
                {name}
              </Link>
            </li>
          ))}
          <li>
            <a href="/docs">API</a>
          </li>
        </ul>
      </nav>
      <div class="who">
        <span class="name" title={me.role === "admin" ? "Admin" : "User"}>
          {me.user.name}
        </span>
        <button type="button" class="quiet" onClick={() => void task.run()} disabled={task.isBusy}>
          Sign out
        </button>
        <Failure words={task.failure} />
      </div>
    </>
  );
}
