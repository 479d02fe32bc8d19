/** For admins: who may use this Berth. */
import { useEffect, useState } from "preact/hooks";
import type { CreatedToken, Me, SignInLink, User, UserChange } from "@berth/shared/users";
import { t } from "../i18n/language.ts";
import { call, getAll, post } from "../api/api.ts";
import { Ago } from "../ui/ago.tsx";
import { Confirm } from "../ui/confirm.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { NameForm } from "../ui/name-form.tsx";
import { NewTokenForm } from "./new-token.tsx";
import { ShownOnce } from "../ui/shown-once.tsx";
import { useTask } from "../ui/use-task.ts";
import { Failure } from "../ui/failure.tsx";
import { TableHead } from "../ui/table-head.tsx";

export function UsersPage({ me }: { me: Me }) {
  const words = t().users;
  const [users, setUsers] = useState<User[] | null>(null);
  const [asked, setAsked] = useState<{ about: User; what: Question } | null>(null);
  const [failure, setFailure] = useState<unknown>(null);
  const load = () => getAll<User>("/v1/admin/users").then(setUsers, setFailure);
  const change: Change = async (user, part) => {
    await call("PATCH", `/v1/admin/users/${user.id}`, part);
    await load();
  };
  useEffect(() => void load(), []);
  const close = () => setAsked(null);
  return (
    <section class="page scroller">
      <h1>{words.title}</h1>
      <NewUser
        onCreated={async (about) => {
          await load();
          setAsked({ about, what: "link" });
        }}
      />
      <Failure error={failure} />
      <table class="list">
        <TableHead names={[words.name, words.role, words.since]} hasActions />
        <tbody>
          {users?.map((user) => (
            <UserRow
              key={user.id}
              user={user}
              isMe={user.id === me.user.id}
              change={change}
              ask={(what) => setAsked({ about: user, what })}
            />
          ))}
        </tbody>
      </table>
      {asked?.what === "disable" && <Disable user={asked.about} change={change} onClose={close} />}
      {asked?.what === "role" && <OtherRole user={asked.about} change={change} onClose={close} />}
      {asked?.what === "link" && <LinkFor user={asked.about} onClose={close} />}
      {asked?.what === "token" && <TokenFor user={asked.about} onClose={close} />}
    </section>
  );
}

type Question = "disable" | "link" | "token" | "role";
type Change = (user: User, part: UserChange) => Promise<void>;
interface UserRowProps {
  user: User;
  isMe: boolean;
  change: Change;
  ask: (what: Question) => void;
}

function UserRow({ user, isMe, change, ask }: UserRowProps) {
  const words = t().users;
  const task = useTask((part: Parameters<Change>[1]) => change(user, part));
  return (
    <tr class={user.disabled ? "off" : ""}>
      <td title={user.id}>
        {user.name}
        {isMe && <span class="tag">{words.you}</span>}
        {user.disabled && <span class="tag">{words.disabled}</span>}
        <Failure error={task.failure} />
      </td>
      <td>
        {words.roles[user.role]}
        <button type="button" class="quiet" aria-label={words.changeRole(user.name)} onClick={() => ask("role")}>
          {words.change}
        </button>
      </td>
      <td data-label={words.since}>
        <Ago time={user.createdAt} />
      </td>
      <td class="number">
        <button type="button" class="quiet" onClick={() => ask("link")} disabled={user.disabled}>
          {words.linkAsk}
        </button>
        <button type="button" class="quiet" onClick={() => ask("token")} disabled={user.disabled}>
          {words.makeToken}
        </button>
        {user.disabled ? (
          <button type="button" class="quiet" onClick={() => void task.run({ disabled: false })}>
            {words.enable}
          </button>
        ) : (
          <button type="button" class="quiet" onClick={() => ask("disable")}>
            {words.disableAsk}
          </button>
        )}
      </td>
    </tr>
  );
}

function Disable({ user, change, onClose }: { user: User; change: Change; onClose: () => void }) {
  const words = t().users;
  const [cancelRuns, setCancelRuns] = useState(true);
  return (
    <Confirm
      title={words.disableTitle(user.name)}
      action={words.disable}
      onClose={onClose}
      act={() => change(user, { disabled: true, cancelRuns })}
    >
      <p>{words.disableLoss}</p>
      <label class="check">
        <input type="checkbox" checked={cancelRuns} onChange={(event) => setCancelRuns(event.currentTarget.checked)} />{" "}
        {words.stopRuns}
      </label>
    </Confirm>
  );
}

function OtherRole({ user, change, onClose }: { user: User; change: Change; onClose: () => void }) {
  const words = t().users;
  const role = user.role === "admin" ? "user" : "admin";
  return (
    <Confirm
      title={role === "admin" ? words.promoteTitle(user.name) : words.demoteTitle(user.name)}
      action={role === "admin" ? words.promote : words.demote}
      onClose={onClose}
      act={() => change(user, { role })}
    >
      <p>{role === "admin" ? words.promoteWhat : words.demoteWhat}</p>
    </Confirm>
  );
}

function LinkFor({ user, onClose }: { user: User; onClose: () => void }) {
  const words = t().users;
  const [url, setUrl] = useState<string | null>(null);
  const task = useTask(async () => setUrl((await post<SignInLink>(`/v1/admin/users/${user.id}/links`)).url));
  return (
    <Dialog title={words.linkTitle(user.name)} onClose={onClose}>
      <p>{words.linkWhat(user.name)}</p>
      {url ? (
        <ShownOnce text={url} what={words.theLink} />
      ) : (
        <button type="button" class="primary" disabled={task.isBusy} onClick={() => void task.run()}>
          {words.makeLink}
        </button>
      )}
      <Failure error={task.failure} />
      <p class="actions">
        <button type="button" onClick={onClose}>
          {t().common.done}
        </button>
      </p>
    </Dialog>
  );
}

function TokenFor({ user, onClose }: { user: User; onClose: () => void }) {
  const words = t().users;
  const create = (name: string, expiresInSeconds: number) =>
    post<CreatedToken>(`/v1/admin/users/${user.id}/tokens`, { name, expiresInSeconds });
  return (
    <Dialog title={words.tokenTitle(user.name)} onClose={onClose}>
      <p class="muted">{words.tokenWhat}</p>
      <NewTokenForm create={create} onCreated={() => {}} />
      <p class="actions">
        <button type="button" onClick={onClose}>
          {t().common.done}
        </button>
      </p>
    </Dialog>
  );
}

function NewUser({ onCreated }: { onCreated: (user: User) => Promise<void> }) {
  const words = t().users;
  return (
    <NameForm
      label={words.nameOfNew}
      choiceLabel={words.roleOfNew}
      choices={Object.entries(words.roles)}
      initial="user"
      action={words.add}
      act={(name, role) => post<User>("/v1/admin/users", { name, role }).then(onCreated)}
    />
  );
}
