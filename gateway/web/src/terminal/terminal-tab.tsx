/** Terminals in the agent's directory, as the agent's user: several at once, each with a tab. */
import "../style/few.css";
import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Agent } from "@berth/shared/resources";
import { t } from "../i18n/language.ts";
import { chooseReadAloud, isReadAloud } from "../preferences/preferences.ts";
import { Confirm } from "../ui/dialog.tsx";
import { PlusIcon } from "../ui/icons.tsx";
import { useTask } from "../ui/use-task.ts";
import type { TerminalSession, ThumbKey } from "./session.ts";
import { addTerminal, closeTerminal, openTerminals } from "./open-terminals.ts";
import { Failure } from "../ui/failure.tsx";

const most = 5;

export function TerminalTab({ agent }: { agent: Agent }) {
  const terminals = openTerminals.value.get(agent.id) ?? [];
  const [chosen, setChosen] = useState(terminals.at(-1)?.number ?? 0);
  const [closing, setClosing] = useState<number | null>(null);
  const close = (number: number) => closeTerminal(agent.id, number);
  const toolbar = useRef<HTMLDivElement>(null);
  const screen = useRef<HTMLDivElement>(null);
  const shown = terminals.find((one) => one.number === chosen) ?? terminals.at(-1);
  const add = useTask(async () => {
    const added = await addTerminal(agent.id, () =>
      toolbar.current?.querySelector<HTMLElement>("[aria-pressed=true]")?.focus(),
    );
    setChosen(added.number);
  });
  useEffect(() => {
    if (terminals.length === 0) void add.run();
  }, []);
  useLayoutEffect(() => {
    if (!shown) return;
    screen.current?.replaceChildren(shown.session.element);
    shown.session.readAloud(isReadAloud.value);
    shown.session.focus();
  }, [shown, isReadAloud.value]);
  return (
    <div class="terminal-tab">
      <Toolbar
        bar={toolbar}
        numbers={terminals.map(({ number }) => number)}
        shown={shown?.number}
        choose={setChosen}
        close={(number) =>
          terminals.find((one) => one.number === number)?.session.isAtWork() ? setClosing(number) : close(number)
        }
        add={terminals.length < most && !add.isBusy ? () => void add.run() : null}
      >
        <label class="aloud">
          <input
            type="checkbox"
            checked={isReadAloud.value}
            onChange={(event) => chooseReadAloud(event.currentTarget.checked)}
          />{" "}
          {t().terminal.screenReader}
        </label>
      </Toolbar>
      <Failure error={add.failure} />
      {terminals.length === 0 && !add.isBusy && <p class="page muted">{t().terminal.none}</p>}
      <div class="screen" ref={screen} hidden={terminals.length === 0} />
      {shown && <ThumbKeys session={shown.session} />}
      {closing !== null && (
        <Closing number={closing} close={async () => close(closing)} onClose={() => setClosing(null)} />
      )}
    </div>
  );
}

function Closing({ number, ...act }: { number: number; close: () => Promise<void>; onClose: () => void }) {
  return (
    <Confirm title={t().terminal.closeTitle(number)} action={t().common.close} onClose={act.onClose} act={act.close}>
      <p>{t().terminal.closeLoss}</p>
    </Confirm>
  );
}

interface ToolbarProps {
  bar: { current: HTMLDivElement | null };
  numbers: number[];
  shown: number | undefined;
  choose: (number: number) => void;
  close: (number: number) => void;
  /** Null while no more can be opened. */
  add: (() => void) | null;
  children: ComponentChildren;
}

function Toolbar({ bar, numbers, shown, choose, close, add, children }: ToolbarProps) {
  const words = t().terminal;
  return (
    <div class="toolbar" ref={bar} role="group" aria-label={words.group}>
      {numbers.map((number) => (
        <span key={number} class="one">
          <button type="button" class="quiet" aria-pressed={number === shown} onClick={() => choose(number)}>
            {words.one(number)}
          </button>
          <button type="button" class="quiet" aria-label={words.close(number)} onClick={() => close(number)}>
            ×
          </button>
        </span>
      ))}
      <button type="button" class="quiet" onClick={() => add?.()} disabled={add === null}>
        <PlusIcon /> {words.add}
      </button>
      {children}
      <span class="muted keys" title={words.keys}>
        {words.keys}
      </span>
    </div>
  );
}

const thumbKeys: ThumbKey[] = ["Esc", "Tab", "←", "↑", "↓", "→"];

/** What the keyboard of a phone has not; that one stays up while they are pressed. */
function ThumbKeys({ session }: { session: TerminalSession }) {
  const words = t().terminal;
  const stay = (event: Event) => event.preventDefault();
  const hasCtrl = session.hasCtrl.value;
  return (
    <div class="thumb-keys" role="group" aria-label={words.thumbKeys} onPointerDown={stay} onMouseDown={stay}>
      <button type="button" aria-pressed={hasCtrl} onClick={() => (session.hasCtrl.value = !hasCtrl)}>
        {words.ctrl}
      </button>
      {thumbKeys.map((key) => (
        <button key={key} type="button" aria-label={words.keyNames[key] ?? key} onClick={() => session.press(key)}>
          {key}
        </button>
      ))}
    </div>
  );
}
