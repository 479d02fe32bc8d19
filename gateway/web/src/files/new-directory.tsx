/** A field for the name of a new directory, when asked for. */
import { t } from "../i18n/language.ts";
import { useKept } from "../kept/use-kept.ts";
import { useTask } from "../ui/use-task.ts";
import { Failure } from "../ui/failure.tsx";

export function NewDirectory({ place, make }: { place: string; make: (name: string) => Promise<void> }) {
  const [name, setName, forget] = useKept(`berth.new-directory.${place}`);
  const task = useTask(async () => {
    await make(name!.trim());
    forget();
  });
  if (name === null)
    return (
      <button type="button" onClick={() => setName("")}>
        {t().files.newFolder}
      </button>
    );
  return (
    <form class="inline" onSubmit={(event) => (event.preventDefault(), void (name.trim() && task.run()))}>
      <input
        aria-label={t().files.newFolderName}
        placeholder={t().files.newFolderName}
        value={name}
        autocomplete="off"
        ref={(field) => void (name === "" && field?.focus())}
        onInput={(event) => setName(event.currentTarget.value)}
        onKeyDown={(event) => event.key === "Escape" && forget()}
      />
      <button type="submit" disabled={task.isBusy}>
        {t().common.create}
      </button>
      <Failure error={task.failure} isInline />
    </form>
  );
}
