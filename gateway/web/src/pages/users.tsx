/** For admins: who may use this Berth. */
import { useEffect, useState } from "preact/hooks";
import type { User } from "../../../src/users.ts";
import { call, explain, getAll, post } from "../api.ts";
import { Ago } from "../parts/ago.tsx";
import { Confirm } from "../parts/confirm.tsx";
import { Dialog } from "../parts/dialog.tsx";
import { NewTokenForm } from "../parts/new-token.tsx";
import { useTask } from "../parts/use-task.ts";
import type { Me } from "../session.ts";

export function UsersPage({ me }: { me: Me }) {
  const [users, setUsers] = useState<User[] | null>(null);
  const [disabling, setDisabling] = useState<User | null>(null);
  const [tokenFor, setTokenFor] = useState<User | null>(null);
  const [failure, setFailure] = useState<string | null>(null);
  const load = () => getAll<User>("/v1/admin/users").then(setUsers, (error: unknown) => setFailure(explain(error)));
  const change = useTask(async (user: User, part: Partial<Pick<User, "role" | "disabled">>) => {
    await call("PATCH", `/v1/admin/users/${user.id}`, part);
    await load();
  });
  useEffect(() => void load(), []);
  return (
    <section class="page scroller">
      <h1>Users</h1>
      <NewUser onCreated={load} />
      {(failure ?? change.failure) && (
        <p class="failure" role="alert">
          {failure ?? change.failure}
        </p>
      )}
      <table class="list">
        <thead>
          <tr>
            <th>Name</th>
            <th>Role</th>
            <th>Since</th>
            <th>
              <span class="sr-only">Actions</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {users?.map((user) => (
            <tr key={user.id} class={user.disabled ? "off" : ""}>
              <td>
                {user.name}
                {user.id === me.user.id && <span class="tag">you</span>}
                {user.disabled && <span class="tag">disabled</span>}
              </td>
              <td>
                <select
                  aria-label={`Role of ${user.name}`}
                  value={user.role}
                  disabled={change.isBusy}
                  onChange={(event) =>
                    void change.run(user, { role: event.currentTarget.value as User["role"] }).then(load)
                  }
                >
                  <option value="user">User</option>
                  <option value="admin">Admin</option>
                </select>
              </td>
              <td>
                <Ago time={user.createdAt} />
              </td>
              <td class="number">
                <button type="button" class="quiet" onClick={() => setTokenFor(user)} disabled={user.disabled}>
                  Make a token …
                </button>
                {user.disabled ? (
                  <button type="button" class="quiet" onClick={() => void change.run(user, { disabled: false })}>
                    Enable
                  </button>
                ) : (
                  <button type="button" class="quiet" onClick={() => setDisabling(user)}>
                    Disable …
                  </button>
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {disabling && (
        <Confirm
          title={`Disable ${disabling.name}?`}
          action="Disable"
          onClose={() => setDisabling(null)}
          act={() => call("PATCH", `/v1/admin/users/${disabling.id}`, { disabled: true }).then(load)}
        >
          <p>
            Their sessions and tokens are refused at once. Agents and files stay, and an admin can enable them again.
          </p>
        </Confirm>
      )}
      {tokenFor && (
        <Dialog title={`A token for ${tokenFor.name}`} onClose={() => setTokenFor(null)}>
          <p class="muted">
            With it they sign in here, or use the API. Or print a sign-in link on the gateway's machine:{" "}
            <code>npm run -s link -- {tokenFor.name}</code>
          </p>
          <NewTokenForm
            create={(name, expiresInSeconds) =>
              post(`/v1/admin/users/${tokenFor.id}/tokens`, { name, expiresInSeconds })
            }
            onCreated={() => {}}
          />
          <p class="actions">
            <button type="button" onClick={() => setTokenFor(null)}>
              Done
            </button>
          </p>
        </Dialog>
      )}
    </section>
  );
}

function NewUser({ onCreated }: { onCreated: () => void }) {
  const [name, setName] = useState("");
  const [role, setRole] = useState<User["role"]>("user");
  const task = useTask(async () => {
    await post("/v1/admin/users", { name: name.trim(), role });
    setName("");
    onCreated();
  });
  return (
    <>
      <form class="inline" onSubmit={(event) => (event.preventDefault(), void (name.trim() && task.run()))}>
        <input
          aria-label="Name of a new user"
          placeholder="Name of a new user"
          value={name}
          maxLength={64}
          required
          autocomplete="off"
          onInput={(event) => setName(event.currentTarget.value)}
        />
        <select
          aria-label="Role of the new user"
          value={role}
          onChange={(event) => setRole(event.currentTarget.value as User["role"])}
        >
          <option value="user">User</option>
          <option value="admin">Admin</option>
        </select>
        <button type="submit" class="primary" disabled={task.isBusy}>
          Add
        </button>
      </form>
      {task.failure && (
        <p class="failure" role="alert">
          {task.failure}
        </p>
      )}
    </>
  );
}
