/** A form for a token: a name and a time to live; the token shows once below it. */
import { useState } from "preact/hooks";
import { t } from "../i18n/language.ts";
import { NameForm } from "../ui/name-form.tsx";
import { ShownOnce } from "../ui/shown-once.tsx";

const day = 86_400;
const lifetimes = { day, month: 30 * day, quarter: 90 * day, year: 365 * day };

interface NewTokenProps {
  /** Of what is typed and not sent. */
  place: string;
  create: (name: string, expiresInSeconds: number) => Promise<{ token: string }>;
  onCreated: () => void;
}

export function NewTokenForm({ place, create, onCreated }: NewTokenProps) {
  const words = t().tokens;
  const [token, setToken] = useState<string | null>(null);
  const make = async (name: string, seconds: string) => {
    setToken((await create(name, Number(seconds))).token);
    onCreated();
  };
  return (
    <>
      <NameForm
        place={place}
        label={words.nameOfNew}
        placeholder={words.namePlaceholder}
        choiceLabel={words.expiresAfter}
        choices={(Object.keys(lifetimes) as (keyof typeof lifetimes)[]).map((name) => [
          `${lifetimes[name]}`,
          words.lifetimes[name],
        ])}
        initial={`${lifetimes.month}`}
        action={words.make}
        act={make}
      />
      {token && <ShownOnce text={token} what={t().common.theToken} />}
    </>
  );
}
