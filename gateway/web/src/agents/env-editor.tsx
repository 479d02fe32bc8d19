/** The environment of an agent. Values go one way: they are never shown again, so that replacing it means giving each anew. */
import { useState } from "preact/hooks";
import type { Agent } from "@berth/shared/resources";
import { setEnv } from "../state/agents.ts";
import { useTask } from "../ui/use-task.ts";
import { Failure } from "../ui/failure.tsx";

interface Row {
  key: string;
  value: string;
  isStored: boolean;
}

export function EnvEditor({ agent }: { agent: Agent }) {
  const [rows, setRows] = useState<Row[] | null>(null);
  return (
    <section>
      <h2>Environment</h2>
      {agent.envKeys.length > 0 ? (
        <ul class="env-keys">
          {agent.envKeys.map((key) => (
            <li key={key}>
              <code>{key}</code> <span class="muted">set, hidden</span>
            </li>
          ))}
        </ul>
      ) : (
        <p class="muted">
          No variables yet. Tokens and settings that the agent's commands need belong here, not into messages.
        </p>
      )}
      {rows === null ? (
        <button
          type="button"
          onClick={() => setRows([...agent.envKeys.map((key) => ({ key, value: "", isStored: true })), emptyRow()])}
        >
          {agent.envKeys.length > 0 ? "Replace the environment …" : "Add variables …"}
        </button>
      ) : (
        <EnvForm agent={agent} rows={rows} setRows={setRows} />
      )}
    </section>
  );
}

interface EnvFormProps {
  agent: Agent;
  rows: Row[];
  setRows: (rows: Row[] | null) => void;
}

function EnvForm({ agent, rows, setRows }: EnvFormProps) {
  const task = useTask(async () => {
    await setEnv(agent.id, toEnv(rows));
    setRows(null);
  });
  const take = (at: number, pasted: Row[]) => {
    const names = new Set(pasted.map(({ key }) => key));
    setRows([...rows.filter((row, index) => index !== at && !names.has(row.key)), ...pasted, emptyRow()]);
  };
  return (
    <form onSubmit={(event) => (event.preventDefault(), void task.run())}>
      <p class="muted">
        This replaces everything: values are stored on the host alone and nobody can read them back. A <code>.env</code>{" "}
        file can be pasted into a name.
      </p>
      <ul class="env-rows">
        {rows.map((row, at) => (
          <EnvRow
            key={at}
            row={row}
            at={at}
            change={(part) => setRows(rows.map((other, index) => (index === at ? { ...other, ...part } : other)))}
            take={(pasted) => take(at, pasted)}
            remove={() => setRows(rows.filter((_, index) => index !== at))}
          />
        ))}
      </ul>
      <Failure words={task.failure} />
      <p class="actions">
        <button type="button" onClick={() => setRows([...rows, emptyRow()])}>
          One more
        </button>
        <button type="button" onClick={() => setRows(null)}>
          Leave it as it is
        </button>
        <button type="submit" class="primary" disabled={task.isBusy}>
          {task.isBusy ? "Saving …" : "Replace"}
        </button>
      </p>
    </form>
  );
}

interface EnvRowProps {
  row: Row;
  at: number;
  change: (part: Partial<Row>) => void;
  take: (pasted: Row[]) => void;
  remove: () => void;
}

function EnvRow({ row, at, change, take, remove }: EnvRowProps) {
  const onPaste = (event: ClipboardEvent) => {
    const pasted = readDotEnv(event.clipboardData?.getData("text") ?? "");
    if (pasted.length === 0) return;
    event.preventDefault();
    take(pasted);
  };
  const name = row.key || `variable ${at + 1}`;
  return (
    <li>
      <input
        aria-label={`Name of variable ${at + 1}`}
        placeholder="NAME"
        value={row.key}
        readOnly={row.isStored}
        spellcheck={false}
        autocomplete="off"
        onInput={(event) => change({ key: event.currentTarget.value })}
        onPaste={onPaste}
      />
      <input
        aria-label={`Value of ${name}`}
        type="password"
        autocomplete="new-password"
        value={row.value}
        placeholder={row.isStored ? "type the value again" : "value"}
        onInput={(event) => change({ value: event.currentTarget.value })}
      />
      <button type="button" class="quiet" aria-label={`Remove ${name}`} onClick={remove}>
        Remove
      </button>
    </li>
  );
}

const emptyRow = (): Row => ({ key: "", value: "", isStored: false });

function toEnv(rows: Row[]): Record<string, string> {
  const named = rows.filter((row) => row.key.trim() || row.value);
  const untold = named.find((row) => row.isStored && row.value === "");
  if (untold) throw new Error(`Type the value of ${untold.key} again, or remove it: the old one cannot be read back.`);
  const nameless = named.find((row) => !row.key.trim());
  if (nameless) throw new Error("One value has no name.");
  const odd = named.find((row) => !/^[A-Za-z_]\w*$/.test(row.key.trim()));
  if (odd)
    throw new Error(
      `${odd.key.trim()} cannot be the name of a variable: letters, digits and _ can, and no digit at first.`,
    );
  return Object.fromEntries(named.map((row) => [row.key.trim(), row.value]));
}

/** The lines of a `.env` file; none when the text is no such file. */
function readDotEnv(text: string): Row[] {
  const lines = text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line && !line.startsWith("#"));
  const rows = lines.map((line) => /^(?:export\s+)?([A-Za-z_]\w*)=(.*)$/.exec(line));
  if (rows.length === 0 || rows.some((row) => row === null)) return [];
  return rows.map((row) => ({ key: row![1]!, value: row![2]!.replace(/^(["'])(.*)\1$/, "$2"), isStored: false }));
}
