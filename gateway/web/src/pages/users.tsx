/** For admins: who may use this Berth. */
import { useEffect, useState } from "preact/hooks";
import type { CreatedToken, Me, SignInLink, ListedUser, AllUse, User, UserChange } from "@berth/shared/users";
import { t } from "../i18n/language.ts";
import { call, get, post } from "../api/api.ts";
import { hostName } from "../state/hosts.ts";
import { loadUsers } from "../state/users.ts";
import { formatCost, formatCount } from "../text/format.ts";
import { Ago } from "../ui/ago.tsx";
import { Confirm, Dialog, Menu } from "../ui/dialog.tsx";
import { Check, NameForm } from "../ui/name-form.tsx";
import { NewTokenForm } from "../users/new-token.tsx";
import { OnlyHere, ShownOnce } from "../ui/shown-once.tsx";
import { Deletion } from "../users/deletion.tsx";
import { Limits } from "../users/limits.tsx";
import { useAnswer } from "../ui/use-answer.ts";
import { readFilters } from "../ui/router.tsx";
import { useTask } from "../ui/use-task.ts";
import { Failure, More } from "../ui/failure.tsx";
import { TableHead } from "../ui/table-head.tsx";

export function UsersPage({ me }: { me: Me }) {
  const words = t().users;
  const { found: users, failure, load } = useAnswer(loadUsers);
  const [asked, setAsked] = useState<{ about: User; what: Question } | null>(null);
  const change: Change = async (user, part) => {
    await call("PATCH", `/v1/admin/users/${user.id}`, part);
    await load();
  };
  const { values, set } = readFilters(["name"]);
  const isFound = ({ name }: User) => name.toLowerCase().includes(values.name.trim().toLowerCase());
  const listed = users?.find(({ id }) => id === asked?.about.id);
  return (
    <section class="page scroller">
      <div class="page-head">
        <h1>{words.title}</h1>
        <Find name={values.name} set={set("name")} />
      </div>
      <NewUser
        onCreated={async (about) => {
          await load();
          setAsked({ about, what: "link" });
        }}
      />
      <Failure error={failure} />
      <UserTable
        users={users?.filter(isFound) ?? []}
        me={me}
        change={change}
        ask={(about, what) => setAsked({ about, what })}
      />
      {asked && <Asked {...asked} listed={listed} change={change} onDeleted={load} onClose={() => setAsked(null)} />}
    </section>
  );
}

const shownAtOnce = 200;

interface UserTableProps {
  users: ListedUser[];
  me: Me;
  change: Change;
  ask: (about: User, what: Question) => void;
}

function UserTable({ users, me, change, ask }: UserTableProps) {
  const words = t().users;
  const [most, setMost] = useState(shownAtOnce);
  const [costs, setCosts] = useState<Map<string, number> | null>(null);
  useEffect(() => {
    const note = (use: AllUse) => setCosts(new Map(use.users.map(({ userId, costUsd }) => [userId, costUsd])));
    // Without it the users are still there.
    void get<AllUse>("/v1/admin/use").then(note, () => undefined);
  }, []);
  return (
    <>
      <table class="list">
        <TableHead
          names={[t().common.name, words.role, words.lastSignIn, words.host]}
          numbers={[words.agents, words.use]}
          hasActions
        />
        <tbody>
          {users.slice(0, most).map((user) => (
            <UserRow
              key={user.id}
              user={user}
              costUsd={costs && (costs.get(user.id) ?? 0)}
              isMe={user.id === me.user.id}
              change={change}
              ask={(what) => ask(user, what)}
            />
          ))}
        </tbody>
      </table>
      {most < users.length && <More load={() => setMost(most + shownAtOnce)}>{words.showMoreOf(users.length)}</More>}
    </>
  );
}

type Question = "limits" | "disable" | "delete" | "signOut" | "link" | "token" | "role";
function Find({ name, set }: { name: string; set: (name: string) => void }) {
  const words = t().users;
  return (
    <div class="filters">
      <input
        type="search"
        aria-label={words.find}
        placeholder={words.find}
        value={name}
        onInput={(event) => set(event.currentTarget.value)}
      />
    </div>
  );
}

interface AskedProps {
  about: User;
  what: Question;
  /** The same user as the list has them now. */
  listed: ListedUser | undefined;
  change: Change;
  onDeleted: () => Promise<void>;
  onClose: () => void;
}

function Asked({ about, what, listed, change, onDeleted, onClose }: AskedProps) {
  return (
    <>
      {what === "disable" && <Disable user={about} change={change} onClose={onClose} />}
      {what === "limits" && listed && <Limits user={listed} change={change} onClose={onClose} />}
      {what === "delete" && listed && <Deletion user={listed} onDeleted={onDeleted} onClose={onClose} />}
      {what === "signOut" && <SignOut user={about} onClose={onClose} />}
      {what === "role" && <OtherRole user={about} change={change} onClose={onClose} />}
      {what === "link" && <LinkFor user={about} onClose={onClose} />}
      {what === "token" && <TokenFor user={about} onClose={onClose} />}
    </>
  );
}

type Change = (user: User, part: UserChange) => Promise<void>;
interface UserRowProps {
  user: ListedUser;
  /** Of the last 30 days; null until it is known. */
  costUsd: number | null;
  isMe: boolean;
  change: Change;
  ask: (what: Question) => void;
}

function UserRow({ user, costUsd, isMe, change, ask }: UserRowProps) {
  const words = t().users;
  const task = useTask((part: Parameters<Change>[1]) => change(user, part));
  return (
    <tr class={user.disabled ? "off" : ""}>
      <td class="name" title={user.id}>
        {user.name}
        {isMe && <span class="tag">{words.you}</span>}
        {user.disabled && <span class="tag">{words.disabled}</span>}
        {Object.values(user.limits).some((limit) => limit !== null) && <span class="tag">{words.limited}</span>}
        <Failure error={task.failure} />
      </td>
      <td>
        {t().common.roles[user.role]}
        <button type="button" class="quiet" aria-label={words.changeRole(user.name)} onClick={() => ask("role")}>
          {words.change}
        </button>
      </td>
      <td data-label={words.lastSignIn}>{user.lastSignInAt ? <Ago time={user.lastSignInAt} /> : "–"}</td>
      <td data-label={words.host}>{user.hostId ? hostName(user.hostId) : "–"}</td>
      <td class="number" data-label={words.agents}>
        {formatCount(user.agents)}
      </td>
      <td class="number" data-label={words.use}>
        {costUsd === null ? "–" : formatCost(costUsd)}
      </td>
      <td class="number">
        <button type="button" class="quiet" onClick={() => ask("link")} disabled={user.disabled}>
          {words.linkAsk}
        </button>
        <RowMenu user={user} isMe={isMe} ask={ask} enable={() => void task.run({ disabled: false })} />
      </td>
    </tr>
  );
}

function RowMenu({ user, isMe, ask, enable }: Pick<UserRowProps, "user" | "isMe" | "ask"> & { enable: () => void }) {
  const words = t().users;
  return (
    <Menu class="row" label={words.moreOf(user.name)}>
      <div class="panel" onClick={({ currentTarget }) => currentTarget.closest("details")?.removeAttribute("open")}>
        <button type="button" class="quiet" onClick={() => ask("token")} disabled={user.disabled}>
          {words.makeToken}
        </button>
        <button type="button" class="quiet" onClick={() => ask("limits")}>
          {words.limitsAsk}
        </button>
        <button type="button" class="quiet" onClick={() => ask("signOut")} disabled={user.disabled}>
          {words.signOutAsk}
        </button>
        {user.disabled ? (
          <button type="button" class="quiet" onClick={enable}>
            {words.enable}
          </button>
        ) : (
          <button type="button" class="quiet" onClick={() => ask("disable")}>
            {words.disableAsk}
          </button>
        )}
        {!isMe && (
          <button type="button" class="quiet" onClick={() => ask("delete")}>
            {t().common.deleteAsk}
          </button>
        )}
      </div>
    </Menu>
  );
}

function SignOut({ user, onClose }: { user: User; onClose: () => void }) {
  const words = t().users;
  return (
    <Confirm
      title={words.signOutTitle(user.name)}
      action={t().frame.signOut}
      onClose={onClose}
      act={() => call("DELETE", `/v1/admin/users/${user.id}/sessions`)}
    >
      <p>{words.signOutWhat}</p>
    </Confirm>
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
      <Check isOn={cancelRuns} set={setCancelRuns}>
        {words.stopRuns}
      </Check>
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
    <Dialog title={words.linkTitle(user.name)} onClose={onClose} end={t().common.done}>
      <p>{words.linkWhat(user.name)}</p>
      {url ? (
        <>
          <OnlyHere url={url} />
          <ShownOnce text={url} what={words.theLink} />
        </>
      ) : (
        <button type="button" class="primary" disabled={task.isBusy} onClick={() => void task.run()}>
          {words.makeLink}
        </button>
      )}
      <Failure error={task.failure} />
    </Dialog>
  );
}

function TokenFor({ user, onClose }: { user: User; onClose: () => void }) {
  const words = t().users;
  const create = (name: string, expiresInSeconds: number) =>
    post<CreatedToken>(`/v1/admin/users/${user.id}/tokens`, { name, expiresInSeconds });
  return (
    <Dialog title={words.tokenTitle(user.name)} onClose={onClose} end={t().common.done}>
      <p class="muted">{words.tokenWhat}</p>
      <NewTokenForm place={`token.${user.id}`} create={create} onCreated={() => {}} />
    </Dialog>
  );
}

function NewUser({ onCreated }: { onCreated: (user: User) => Promise<void> }) {
  const words = t().users;
  return (
    <NameForm
      place="user"
      label={words.nameOfNew}
      choiceLabel={words.roleOfNew}
      choices={Object.entries(t().common.roles)}
      initial="user"
      action={words.add}
      act={(name, role) => post<User>("/v1/admin/users", { name, role }).then(onCreated)}
    />
  );
}
