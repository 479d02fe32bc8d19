/** For admins: what one user may have in place of the settings. */
import type { ListedUser, OwnLimits, UserChange, UserLimits } from "@berth/shared/users";
import { t } from "../i18n/language.ts";
import { useKeptFields } from "../kept/use-kept.ts";
import { FormDialog } from "../ui/dialog.tsx";
import { useTask } from "../ui/use-task.ts";

type Name = keyof UserLimits;
/** A field's unit in that of the API. */
const units: Partial<Record<Name, number>> = { memoryBytes: 1e6, diskBytes: 1e9 };
const unitOf = (name: Name) => units[name] ?? 1;
/** Bytes are whole. */
const inApi = (name: Name, typed: number) => (units[name] ? Math.round(typed * unitOf(name)) : typed);

interface LimitsProps {
  user: ListedUser;
  change: (user: ListedUser, part: UserChange) => Promise<void>;
  onClose: () => void;
}

export function Limits({ user, change, onClose }: LimitsProps) {
  const words = t().users;
  const names = Object.keys(words.limits) as Name[];
  const shown = (name: Name) => {
    const limit = user.limits[name];
    return limit === null ? "" : String(Number((limit / unitOf(name)).toFixed(2)));
  };
  const [typed, setTyped, forget] = useKeptFields<Partial<Record<Name, string>>>(`berth.limits.${user.id}`, {});
  const task = useTask(async () => {
    const changed = Object.entries(typed).filter(([name, text]) => text !== shown(name as Name));
    const limits = changed.map(([name, text]) => [name, text === "" ? null : inApi(name as Name, Number(text))]);
    await change(user, { limits: Object.fromEntries(limits) as OwnLimits });
    forget();
    onClose();
  });
  return (
    <FormDialog
      title={words.limitsTitle(user.name)}
      action={words.limitsSet}
      busy={t().common.saving}
      task={task}
      onClose={onClose}
      onCancel={() => (forget(), onClose())}
    >
      <p class="muted">{words.limitsWhat}</p>
      {names.map((name) => (
        <label key={name}>
          {words.limits[name]}
          <input
            type="number"
            min={0}
            step="any"
            value={typed[name] ?? shown(name)}
            onInput={(event) => setTyped({ [name]: event.currentTarget.value })}
          />
        </label>
      ))}
    </FormDialog>
  );
}
