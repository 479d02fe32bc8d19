/** For admins: who may use this Berth. */
import { useEffect, useState } from "preact/hooks";
import type { CreatedToken, Me, SignInLink, User, UserChange } from "@berth/shared/users";
import { call, explain, getAll, post } from "../api/api.ts";
import { Ago } from "../ui/ago.tsx";
import { Confirm } from "../ui/confirm.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { NameForm } from "../ui/name-form.tsx";
import { NewTokenForm } from "./new-token.tsx";
import { ShownOnce } from "../ui/shown-once.tsx";
import { useTask } from "../ui/use-task.ts";
import { Failure } from "../ui/failure.tsx";
import { TableHead } from "../ui/table-head.tsx";

const roles: [User["role"], string][] = [
  ["user", "User"],
  ["admin", "Admin"],
];

export function UsersPage({ me }: { me: Me }) {
  const [users, setUsers] = useState<User[] | null>(null);
  const [asked, setAsked] = useState<{ about: User; what: Question } | null>(null);
  const [failure, setFailure] = useState<string | null>(null);
  const load = () => getAll<User>("/v1/admin/users").then(setUsers, (error: unknown) => setFailure(explain(error)));
  const change: Change = async (user, part) => {
    await call("PATCH", `/v1/admin/users/${user.id}`, part);
    await load();
  };
  useEffect(() => void load(), []);
  const close = () => setAsked(null);
  return (
    <section class="page scroller">
      <h1>Users</h1>
      <NewUser
        onCreated={async (about) => {
          await load();
          setAsked({ about, what: "link" });
        }}
      />
      <Failure words={failure} />
      <table class="list">
        <TableHead names={["Name", "Role", "Since"]} hasActions />
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
  const task = useTask((part: Parameters<Change>[1]) => change(user, part));
  return (
    <tr class={user.disabled ? "off" : ""}>
      <td title={user.id}>
        {user.name}
        {isMe && <span class="tag">you</span>}
        {user.disabled && <span class="tag">disabled</span>}
        <Failure words={task.failure} />
      </td>
      <td>
        {roles.find(([role]) => role === user.role)?.[1]}
        <button type="button" class="quiet" aria-label={`Change the role of ${user.name}`} onClick={() => ask("role")}>
          Change …
        </button>
      </td>
      <td data-label="since">
        <Ago time={user.createdAt} />
      </td>
      <td class="number">
        <button type="button" class="quiet" onClick={() => ask("link")} disabled={user.disabled}>
          Sign-in link …
        </button>
        <button type="button" class="quiet" onClick={() => ask("token")} disabled={user.disabled}>
          Make a token …
        </button>
        {user.disabled ? (
          <button type="button" class="quiet" onClick={() => void task.run({ disabled: false })}>
            Enable
          </button>
        ) : (
          <button type="button" class="quiet" onClick={() => ask("disable")}>
            Disable …
          </button>
        )}
      </td>
    </tr>
  );
}

function Disable({ user, change, onClose }: { user: User; change: Change; onClose: () => void }) {
  const [cancelRuns, setCancelRuns] = useState(true);
  return (
    <Confirm
      title={`Disable ${user.name}?`}
      action="Disable"
      onClose={onClose}
      act={() => change(user, { disabled: true, cancelRuns })}
    >
      <p>Their sessions and tokens are refused at once. Agents and files stay, and an admin can enable them again.</p>
      <label class="check">
        <input type="checkbox" checked={cancelRuns} onChange={(event) => setCancelRuns(event.currentTarget.checked)} />{" "}
        Stop what they have running
      </label>
    </Confirm>
  );
}

function OtherRole({ user, change, onClose }: { user: User; change: Change; onClose: () => void }) {
  const role = user.role === "admin" ? "user" : "admin";
  return (
    <Confirm
      title={role === "admin" ? `Make ${user.name} an admin?` : `Make ${user.name} an ordinary user?`}
      action={role === "admin" ? "Make them an admin" : "Take it away"}
      onClose={onClose}
      act={() => change(user, { role })}
    >
      <p>
        {role === "admin"
          ? "Admins add, disable and sign in users, add and remove machines, and read the audit."
          : "They keep their agents and files, and no longer see users, machines and the audit."}
      </p>
    </Confirm>
  );
}

function LinkFor({ user, onClose }: { user: User; onClose: () => void }) {
  const [url, setUrl] = useState<string | null>(null);
  const task = useTask(async () => setUrl((await post<SignInLink>(`/v1/admin/users/${user.id}/links`)).url));
  return (
    <Dialog title={`Sign ${user.name} in`} onClose={onClose}>
      <p>
        Send {user.name} a link that nobody else can read: whoever opens it first is {user.name} here. It works once,
        within an hour.
      </p>
      {url ? (
        <ShownOnce text={url} what="the link" />
      ) : (
        <button type="button" class="primary" disabled={task.isBusy} onClick={() => void task.run()}>
          Make a sign-in link
        </button>
      )}
      <Failure words={task.failure} />
      <p class="actions">
        <button type="button" onClick={onClose}>
          Done
        </button>
      </p>
    </Dialog>
  );
}

function TokenFor({ user, onClose }: { user: User; onClose: () => void }) {
  const create = (name: string, expiresInSeconds: number) =>
    post<CreatedToken>(`/v1/admin/users/${user.id}/tokens`, { name, expiresInSeconds });
  return (
    <Dialog title={`A token for ${user.name}`} onClose={onClose}>
      <p class="muted">With it their programs use the API. To sign in here they need a sign-in link, not this.</p>
      <NewTokenForm create={create} onCreated={() => {}} />
      <p class="actions">
        <button type="button" onClick={onClose}>
          Done
        </button>
      </p>
    </Dialog>
  );
}

function NewUser({ onCreated }: { onCreated: (user: User) => Promise<void> }) {
  return (
    <NameForm
      label="Name of a new user"
      choiceLabel="Role of the new user"
      choices={roles}
      initial="user"
      action="Add"
      act={(name, role) => post<User>("/v1/admin/users", { name, role }).then(onCreated)}
    />
  );
}
