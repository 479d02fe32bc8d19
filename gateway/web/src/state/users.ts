/** The users, for admins. */
import type { ListedUser } from "@berth/shared/users";
import { getAll } from "../api/api.ts";

/** More than any one gateway has. */
const mostUsers = 20_000;

/** Oldest first. */
export const loadUsers = () => getAll<ListedUser>("/v1/admin/users", mostUsers);

/** What to call a user, by id. */
export type UserNames = ReadonlyMap<string, string>;
export const loadUserNames = async (): Promise<UserNames> =>
  new Map((await loadUsers()).map(({ id, name }) => [id, name]));
