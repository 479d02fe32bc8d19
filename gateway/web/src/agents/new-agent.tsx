/** A new agent in one field. Where the limit is reached, it says so instead. */
import { useState } from "preact/hooks";
import type { RuntimeName } from "@berth/shared/resources";
import { runtimeNames, runtimes } from "../runtimes/runtimes.ts";
import { agents, createAgent } from "../state/agents.ts";
import { go } from "../ui/router.tsx";
import type { Me } from "@berth/shared/users";
import { useTask } from "../ui/use-task.ts";
import { Failure } from "../ui/failure.tsx";

export function NewAgent({ me, isFirst = false }: { me: Me; isFirst?: boolean }) {
  const [name, setName] = useState("");
  const [runtime, setRuntime] = useState(runtimeNames[0]!);
  const [repository, setRepository] = useState("");
  const task = useTask(async () => {
    const agent = await createAgent(name.trim(), runtime, repository.trim() || null);
    setName("");
    setRepository("");
    go(`/agents/${agent.id}`);
  });
  const limit = me.limits.agents;
  if ((agents.value?.length ?? 0) >= limit)
    return (
      <p class="new-agent full">All {limit} agents are in use. Delete one in its settings to make room for another.</p>
    );
  const submit = (event: Event) => {
    event.preventDefault();
    if (name.trim()) void task.run();
  };
  return (
    <form class={`new-agent ${isFirst ? "first" : ""}`} onSubmit={submit}>
      <div class="row">
        <input
          aria-label="Name of a new agent"
          placeholder="New agent"
          maxLength={64}
          value={name}
          autocomplete="off"
          onInput={(event) => setName(event.currentTarget.value)}
        />
        <button type="submit" class={isFirst ? "primary" : ""} disabled={task.isBusy}>
          Create
        </button>
      </div>
      {(name !== "" || isFirst) && (
        <More repository={repository} setRepository={setRepository} runtime={runtime} setRuntime={setRuntime} />
      )}
      <Failure words={task.failure} />
    </form>
  );
}

interface MoreProps {
  repository: string;
  setRepository: (url: string) => void;
  runtime: RuntimeName;
  setRuntime: (runtime: RuntimeName) => void;
}

function More({ repository, setRepository, runtime, setRuntime }: MoreProps) {
  return (
    <>
      <input
        type="url"
        aria-label="Repository that it clones"
        placeholder="https://… to clone, if any"
        maxLength={2048}
        value={repository}
        autocomplete="off"
        spellcheck={false}
        onInput={(event) => setRepository(event.currentTarget.value)}
      />
      <label class="runtime">
        Runs{" "}
        <select value={runtime} onChange={(event) => setRuntime(event.currentTarget.value as RuntimeName)}>
          {runtimeNames.map((name) => (
            <option key={name} value={name}>
              {runtimes[name].choice}
            </option>
          ))}
        </select>
      </label>
    </>
  );
}
