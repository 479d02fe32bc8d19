/** The environment of an agent, a variable at a time. Values go one way: they are never shown again, and those that nobody touches stay. */
import type { Agent } from "@berth/shared/resources";
import { t } from "../i18n/language.ts";
import { changeEnv } from "../state/agents.ts";
import { useHeld } from "../kept/use-kept.ts";
import { useTask } from "../ui/use-task.ts";
import { Failure } from "../ui/failure.tsx";

interface Added {
  key: string;
  value: string;
}
interface Changes {
  /** New values of stored variables by name; null removes. */
  stored: Record<string, string | null>;
  added: Added[];
}
const nothing: Changes = { stored: {}, added: [] };
const isNothing = ({ stored, added }: Changes) => added.length === 0 && Object.keys(stored).length === 0;
/** What was written since `saved` was sent. */
const without = (saved: Changes, { stored, added }: Changes): Changes => ({
  stored: Object.fromEntries(Object.entries(stored).filter(([key, value]) => value !== saved.stored[key])),
  added: added.filter((row) => !saved.added.includes(row)),
});
const fresh: Added = { key: "", value: "" };

export function EnvEditor({ agent }: { agent: Agent }) {
  const words = t().settings;
  const [changes, setChanges] = useHeld(`env.${agent.id}`, nothing, (now) => !isNothing(now));
  const { stored, added } = changes;
  const task = useTask(async () => {
    await changeEnv(agent.id, { ...stored, ...toEnv(added) });
    setChanges((now) => without(changes, now));
  });
  const setStored = (key: string, value: string | null | undefined) => {
    const { [key]: _, ...others } = stored;
    setChanges({ added, stored: value === undefined ? others : { ...others, [key]: value } });
  };
  const setAdded = (at: number, ...rows: Added[]) => setChanges({ stored, added: added.toSpliced(at, 1, ...rows) });
  /** A pasted file takes the row's place; what has its names gets its values. */
  const take = (at: number, pasted: Added[]) => {
    const isStored = ({ key }: Added) => agent.envKeys.includes(key);
    const values = Object.fromEntries(pasted.filter(isStored).map(({ key, value }) => [key, value]));
    const others = added.filter(({ key }, index) => index !== at && !pasted.some((row) => row.key === key));
    setChanges({
      stored: { ...stored, ...values },
      added: [...others, ...pasted.filter((row) => !isStored(row)), fresh],
    });
  };
  return (
    <section>
      <h2>{words.environment}</h2>
      <p class="muted">
        {agent.envKeys.length === 0 && `${words.environmentNone} `}
        {words.environmentHint((code) => (
          <code>{code}</code>
        ))}
      </p>
      <form onSubmit={(event) => (event.preventDefault(), void task.run())}>
        <ul class="env-rows">
          {agent.envKeys.map((key) => (
            <StoredRow key={key} name={key} value={stored[key]} set={(value) => setStored(key, value)} />
          ))}
          {added.map((row, at) => (
            <AddedRow
              key={at}
              row={row}
              at={at}
              set={(...rows) => setAdded(at, ...rows)}
              take={(pasted) => take(at, pasted)}
            />
          ))}
        </ul>
        <Failure error={task.failure} />
        <p class="actions">
          <button type="button" onClick={() => setChanges({ stored, added: [...added, fresh] })}>
            {words.addVariable}
          </button>
          {!isNothing(changes) && <Save isBusy={task.isBusy} cancel={() => setChanges(nothing)} />}
        </p>
      </form>
    </section>
  );
}

function Save({ isBusy, cancel }: { isBusy: boolean; cancel: () => void }) {
  return (
    <>
      <button type="button" onClick={cancel}>
        {t().common.cancel}
      </button>
      <button type="submit" class="primary" disabled={isBusy}>
        {isBusy ? t().common.saving : t().settings.saveVariables}
      </button>
    </>
  );
}

interface StoredRowProps {
  name: string;
  /** Undefined stays as it is, null goes. */
  value: string | null | undefined;
  set: (value: string | null | undefined) => void;
}

function StoredRow({ name, value, set }: StoredRowProps) {
  const words = t().settings;
  return (
    <li>
      <code class={value === null ? "off" : ""}>{name}</code>
      {typeof value === "string" ? (
        <ValueField name={name} value={value} placeholder={words.variableNewValue} set={set} />
      ) : (
        <span class="muted">{value === null ? words.willBeRemoved : words.variableSet}</span>
      )}
      <span class="actions">
        {value === undefined ? (
          <>
            <button type="button" class="quiet" aria-label={words.replaceValue(name)} onClick={() => set("")}>
              {words.replace}
            </button>
            <button type="button" class="quiet" aria-label={words.removeVariable(name)} onClick={() => set(null)}>
              {t().common.remove}
            </button>
          </>
        ) : (
          <button type="button" class="quiet" onClick={() => set(undefined)}>
            {words.undo}
          </button>
        )}
      </span>
    </li>
  );
}

interface AddedRowProps {
  row: Added;
  at: number;
  /** Puts these in its place; none removes it. */
  set: (...rows: Added[]) => void;
  take: (pasted: Added[]) => void;
}

function AddedRow({ row, at, set, take }: AddedRowProps) {
  const words = t().settings;
  const onPaste = (event: ClipboardEvent) => {
    const pasted = readDotEnv(event.clipboardData?.getData("text") ?? "");
    if (pasted.length === 0) return;
    event.preventDefault();
    take(pasted);
  };
  const name = row.key || words.variable(at + 1);
  return (
    <li>
      <input
        aria-label={words.variableName(at + 1)}
        placeholder={words.variableNamePlaceholder}
        value={row.key}
        spellcheck={false}
        autocomplete="off"
        onInput={(event) => set({ ...row, key: event.currentTarget.value })}
        onPaste={onPaste}
      />
      <ValueField
        name={name}
        value={row.value}
        placeholder={words.variableValuePlaceholder}
        set={(value) => set({ ...row, value })}
      />
      <button type="button" class="quiet" aria-label={words.removeVariable(name)} onClick={() => set()}>
        {t().common.remove}
      </button>
    </li>
  );
}

interface ValueFieldProps {
  name: string;
  value: string;
  placeholder: string;
  set: (value: string) => void;
}

function ValueField({ name, value, placeholder, set }: ValueFieldProps) {
  return (
    <input
      aria-label={t().settings.variableValue(name)}
      type="password"
      autocomplete="new-password"
      value={value}
      placeholder={placeholder}
      onInput={(event) => set(event.currentTarget.value)}
    />
  );
}

function toEnv(rows: Added[]): Record<string, string> {
  const words = t().settings;
  const named = rows.filter((row) => row.key.trim() || row.value);
  if (named.some((row) => !row.key.trim())) throw new Error(words.variableNameless);
  const odd = named.find((row) => !/^[A-Za-z_]\w*$/.test(row.key.trim()));
  if (odd) throw new Error(words.variableOdd(odd.key.trim()));
  return Object.fromEntries(named.map((row) => [row.key.trim(), row.value]));
}

/** The lines of a `.env` file; none when the text is no such file. */
function readDotEnv(text: string): Added[] {
  const lines = text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line && !line.startsWith("#"));
  const rows = lines.map((line) => /^(?:export\s+)?([A-Za-z_]\w*)=(.*)$/.exec(line));
  if (rows.length === 0 || rows.some((row) => row === null)) return [];
  return rows.map((row) => ({ key: row![1]!, value: row![2]!.replace(/^(["'])(.*)\1$/, "$2") }));
}
