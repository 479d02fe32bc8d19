/** Goes anywhere by a few letters: agents, pages, a search over all conversations. And the list of keys. */
import { useEffect, useId, useRef, useState } from "preact/hooks";
import type { Me } from "@berth/shared/users";
import { t } from "../i18n/language.ts";
import { agents } from "../state/agents.ts";
import { Dialog } from "../ui/dialog.tsx";
import { go } from "../ui/router.tsx";
import { isHelpOpen, isPaletteOpen } from "./shortcuts.ts";
import { placesOf } from "./sidebar.tsx";

interface Place {
  name: string;
  href: string;
}

export function Palette({ me }: { me: Me }) {
  const words = t().frame.palette;
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const listId = useId();
  const found = findPlaces(me, text);
  const current = Math.min(at, found.length - 1);
  const close = () => (isPaletteOpen.value = false);
  const open = ({ href }: Place) => {
    close();
    go(href);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.isComposing || (!step && event.key !== "Enter")) return;
    event.preventDefault();
    if (step) setAt((current + step + found.length) % found.length);
    else open(found[current]!);
  };
  return (
    <Dialog title={words.title} onClose={close}>
      <input
        type="text"
        role="combobox"
        aria-expanded
        aria-controls={listId}
        aria-activedescendant={`${listId}-${current}`}
        aria-label={words.title}
        placeholder={words.placeholder}
        autocomplete="off"
        value={text}
        onInput={(event) => (setText(event.currentTarget.value), setAt(0))}
        onKeyDown={onKeyDown}
      />
      <ul class="palette" id={listId} role="listbox" aria-label={words.title}>
        {found.map((place, index) => (
          <Option
            key={place.href}
            id={`${listId}-${index}`}
            place={place}
            isCurrent={index === current}
            onOpen={open}
          />
        ))}
      </ul>
    </Dialog>
  );
}

/** Chosen from the field: a list has no keys of its own there. */
function Option({
  id,
  place,
  isCurrent,
  onOpen,
}: {
  id: string;
  place: Place;
  isCurrent: boolean;
  onOpen: (place: Place) => void;
}) {
  const option = useRef<HTMLLIElement>(null);
  useEffect(() => {
    if (isCurrent) option.current?.scrollIntoView({ block: "nearest" });
  }, [isCurrent]);
  return (
    <li ref={option} id={id} role="option" aria-selected={isCurrent} onClick={() => onOpen(place)}>
      {place.name}
    </li>
  );
}

/** Those whose name has all the words, agents first; last a search for the words. */
function findPlaces(me: Me, text: string): Place[] {
  const words = t().frame;
  const wanted = text.toLowerCase().split(/\s+/).filter(Boolean);
  const all = [
    ...(agents.value ?? []).map(({ id, name }) => ({ name, href: `/agents/${id}` })),
    { name: words.places.agents, href: "/" },
    ...placesOf(me).map(({ href, name }) => ({ name: name(), href })),
  ];
  const found = all.filter(({ name }) => wanted.every((word) => name.toLowerCase().includes(word)));
  const search = { name: words.palette.searchFor(text.trim()), href: `/search?q=${encodeURIComponent(text.trim())}` };
  return wanted.length > 0 ? [...found, search] : found;
}

export function ShortcutHelp() {
  const { title, keys } = t().frame.shortcuts;
  return (
    <Dialog title={title} onClose={() => (isHelpOpen.value = false)}>
      <dl class="shortcuts">
        {keys.map(([key, what]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <form method="dialog" class="actions">
        <button type="submit">{t().common.close}</button>
      </form>
    </Dialog>
  );
}
