/** A form for a token: a name and a time to live; the token shows once below it. */
import { useState } from "preact/hooks";
import { ShownOnce } from "../ui/shown-once.tsx";
import { useTask } from "../ui/use-task.ts";

const day = 86_400;
const lifetimes: [number, string][] = [
  [day, "1 day"],
  [30 * day, "30 days"],
  [90 * day, "90 days"],
  [365 * day, "1 year"],
];

interface NewTokenProps {
  create: (name: string, expiresInSeconds: number) => Promise<{ token: string }>;
  onCreated: () => void;
}

export function NewTokenForm({ create, onCreated }: NewTokenProps) {
  const [name, setName] = useState("");
  const [seconds, setSeconds] = useState(30 * day);
  const [token, setToken] = useState<string | null>(null);
  const task = useTask(async () => {
    setToken((await create(name.trim(), seconds)).token);
    setName("");
    onCreated();
  });
  return (
    <>
      <form class="inline" onSubmit={(event) => (event.preventDefault(), void (name.trim() && task.run()))}>
        <input
          aria-label="Name of the token"
          placeholder="What is it for?"
          value={name}
          maxLength={64}
          required
          autocomplete="off"
          onInput={(event) => setName(event.currentTarget.value)}
        />
        <select
          aria-label="Expires after"
          value={seconds}
          onChange={(event) => setSeconds(Number(event.currentTarget.value))}
        >
          {lifetimes.map(([value, words]) => (
            <option key={value} value={value}>
              {words}
            </option>
          ))}
        </select>
        <button type="submit" class="primary" disabled={task.isBusy}>
          Make a token
        </button>
      </form>
      {task.failure && (
        <p class="failure" role="alert">
          {task.failure}
        </p>
      )}
      {token && <ShownOnce text={token} what="the token" />}
    </>
  );
}
