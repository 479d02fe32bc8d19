/** One agent: its conversation, and what else there is of it, as tabs. A new tab is one more line in `tabs`. */
import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import type { Agent } from "@berth/shared/resources";
import { t } from "../i18n/language.ts";
import { agentById, agents } from "../state/agents.ts";
import { ConversationMenu } from "../agents/conversation-menu.tsx";
import { tellAgent } from "../agents/agent-line.tsx";
import { runtimes } from "../runtimes/runtimes.ts";
import { Badge } from "../ui/badge.tsx";
import { Loading } from "../ui/failure.tsx";
import { go, Link, path } from "../ui/router.tsx";
import type { Me } from "@berth/shared/users";
import { later } from "./later.tsx";
import { NotFoundPage } from "./not-found.tsx";

const FilesTab = later(() => import("../files/files-tab.tsx").then((it) => it.FilesTab), { speaksMore: true });
const ChangesTab = later(() => import("../files/changes-tab.tsx").then((it) => it.ChangesTab), { speaksMore: true });
const AgentSettings = later(() => import("../agents/agent-settings.tsx").then((it) => it.AgentSettings), {
  speaksMore: true,
});
const Conversation = later(() => import("../agents/conversation.tsx").then((it) => it.Conversation));
const PullRequestButton = later(() => import("../credentials/pull-request.tsx").then((it) => it.PullRequestButton), {
  isPart: true,
});
const TriggersTab = later(() => import("../triggers/triggers-tab.tsx").then((it) => it.TriggersTab), {
  speaksMore: true,
});
const TerminalTab = later(() => import("../terminal/terminal-tab.tsx").then((it) => it.TerminalTab), {
  speaksMore: true,
});

interface Tab {
  id: string;
  name: () => string;
  show: (agent: Agent, me: Me) => ComponentChildren;
}
const tabs: Tab[] = [
  { id: "conversation", name: () => t().conversation.title, show: (agent) => <Conversation agent={agent} /> },
  { id: "terminal", name: () => t().agents.terminal, show: (agent) => <TerminalTab agent={agent} /> },
  { id: "files", name: () => t().agents.files, show: (agent) => <FilesTab agent={agent} /> },
  { id: "changes", name: () => t().agents.changes, show: (agent) => <ChangesTab key={agent.id} agent={agent} /> },
  { id: "triggers", name: () => t().agents.triggers, show: (agent) => <TriggersTab agent={agent} /> },
  { id: "settings", name: () => t().agents.settings, show: (agent) => <AgentSettings agent={agent} /> },
];

export function AgentPage({ id, tab, me }: { id: string; tab: string; me: Me }) {
  const agent = agentById(id);
  // One address for each tab.
  useEffect(() => {
    if (path.value === `/agents/${id}/conversation`) go(`/agents/${id}`, { replace: true });
  }, [path.value]);
  const shown = tabs.find((one) => one.id === tab);
  if (!agents.value) return <Loading class="page" />;
  if (!agent || !shown) return <NotFoundPage />;
  return (
    <section class="agent">
      <div class="agent-head">
        <h1 title={agent.name}>{agent.name}</h1>
        <Badge told={tellAgent(agent)} />
        {tab === "conversation" && runtimes[agent.runtime].hasModel && <ConversationMenu agent={agent} />}
        {tab === "conversation" && agent.repository && <PullRequestButton agent={agent} />}
        <nav class="tabs" aria-label={agent.name}>
          {tabs.map((one) => (
            <Link key={one.id} href={one.id === "conversation" ? `/agents/${id}` : `/agents/${id}/${one.id}`}>
              {one.name()}
            </Link>
          ))}
        </nav>
      </div>
      {shown.show(agent, me)}
    </section>
  );
}
