/** A form for a token: a name and a time to live; the token shows once below it. */
import { useState } from "preact/hooks";
import { NameForm } from "../ui/name-form.tsx";
import { ShownOnce } from "../ui/shown-once.tsx";

const day = 86_400;
const lifetimes: [string, string][] = [
  [`${day}`, "1 day"],
  [`${30 * day}`, "30 days"],
  [`${90 * day}`, "90 days"],
  [`${365 * day}`, "1 year"],
];

interface NewTokenProps {
  create: (name: string, expiresInSeconds: number) => Promise<{ token: string }>;
  onCreated: () => void;
}

export function NewTokenForm({ create, onCreated }: NewTokenProps) {
  const [token, setToken] = useState<string | null>(null);
  const make = async (name: string, seconds: string) => {
    setToken((await create(name, Number(seconds))).token);
    onCreated();
  };
  return (
    <>
      <NameForm
        label="Name of the token"
        placeholder="What is it for?"
        choiceLabel="Expires after"
        choices={lifetimes}
        initial={`${30 * day}`}
        action="Make a token"
        act={make}
      />
      {token && <ShownOnce text={token} what="the token" />}
    </>
  );
}
