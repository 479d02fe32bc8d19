/** For admins: deleting a user, after what goes and what stays was said. */
import { useEffect, useState } from "preact/hooks";
import type { ListedUser } from "@berth/shared/users";
import { call } from "../api/api.ts";
import { t } from "../i18n/language.ts";
import { hosts, loadHosts } from "../state/hosts.ts";
import { Check } from "../ui/name-form.tsx";
import { Confirm } from "../ui/dialog.tsx";

export function Deletion({
  user,
  onDeleted,
  onClose,
}: {
  user: ListedUser;
  onDeleted: () => Promise<void>;
  onClose: () => void;
}) {
  const words = t().users;
  const [mayReturn, setMayReturn] = useState(false);
  // Whether it answers now is what counts.
  useEffect(() => void loadHosts().catch(() => undefined), []);
  const host = hosts.value?.find(({ id }) => id === user.hostId);
  const { out, work, away, stays, again } = words.deleteSaid;
  return (
    <Confirm
      title={words.deleteTitle(user.name)}
      action={words.delete}
      typed={user.name}
      onClose={onClose}
      act={() =>
        call(
          "DELETE",
          `/v1/admin/users/${user.id}?confirm=${encodeURIComponent(user.name)}${mayReturn ? "&mayReturn=1" : ""}`,
        ).then(onDeleted)
      }
    >
      <ul>
        <li>{out}</li>
        <li>{work(user.agents)}</li>
        {host?.status === "down" && <li>{away(host.name)}</li>}
        <li>{stays}</li>
        <li>{again}</li>
      </ul>
      <Check isOn={mayReturn} set={setMayReturn}>
        {words.mayReturn}
      </Check>
    </Confirm>
  );
}
