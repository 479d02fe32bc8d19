/** Name, model, instructions and environment of an agent; and its end. */
import { useState } from "preact/hooks";
import type { Agent } from "@berth/shared/resources";
import { deleteAgent, updateAgent } from "../agents.ts";
import { go } from "../router.tsx";
import { Confirm } from "./confirm.tsx";
import { EnvEditor } from "./env-editor.tsx";
import { useTask } from "./use-task.ts";

export function AgentSettings({ agent }: { agent: Agent }) {
  const [isDeleting, setDeleting] = useState(false);
  return (
    <div class="page narrow scroller settings">
      <About agent={agent} />
      <EnvEditor agent={agent} />
      <section>
        <h2>Delete</h2>
        <p class="muted">Its run is stopped and its directory removed, with everything in it. There is no way back.</p>
        <button type="button" class="danger" onClick={() => setDeleting(true)}>
          Delete this agent …
        </button>
      </section>
      {isDeleting && (
        <Confirm
          title={`Delete ${agent.name}?`}
          action="Delete for ever"
          typed={agent.name.trim()}
          onClose={() => setDeleting(false)}
          act={async () => {
            await deleteAgent(agent.id);
            go("/", { replace: true });
          }}
        >
          <p>
            Its conversation, its directory and everything in it are removed. What is not pushed anywhere else is lost.
          </p>
        </Confirm>
      )}
    </div>
  );
}

function About({ agent }: { agent: Agent }) {
  const [name, setName] = useState(agent.name);
  const [model, setModel] = useState(agent.model ?? "");
  const [instructions, setInstructions] = useState(agent.instructions ?? "");
  const [isSaved, setSaved] = useState(false);
  const task = useTask(async () => {
    await updateAgent(agent.id, {
      name: name.trim(),
      model: model.trim() || null,
      instructions: instructions.trim() ? instructions : null,
    });
    setSaved(true);
  });
  const edit = (set: (value: string) => void) => (event: { currentTarget: HTMLInputElement | HTMLTextAreaElement }) => {
    setSaved(false);
    set(event.currentTarget.value);
  };
  return (
    <form onSubmit={(event) => (event.preventDefault(), void task.run())}>
      <label>
        Name
        <input value={name} maxLength={64} required onInput={edit(setName)} />
      </label>
      {agent.runtime === "claude" && (
        <>
          <label>
            Model
            <input
              value={model}
              maxLength={100}
              placeholder="the default of Claude Code"
              onInput={edit(setModel)}
              spellcheck={false}
              autocomplete="off"
            />
          </label>
          <label>
            Instructions
            <textarea
              rows={6}
              value={instructions}
              maxLength={65_536}
              placeholder="What it should always know: conventions, commands, what not to touch"
              onInput={edit(setInstructions)}
            />
          </label>
        </>
      )}
      {task.failure && (
        <p class="failure" role="alert">
          {task.failure}
        </p>
      )}
      <p class="actions">
        <button type="submit" class="primary" disabled={task.isBusy}>
          {task.isBusy ? "Saving …" : "Save"}
        </button>
        <span role="status" class="muted">
          {isSaved && "Saved. The next message sees it."}
        </span>
      </p>
    </form>
  );
}
