/** What users keep here for their agents: credentials for git, and secrets. What is replaced or removed ends with what is under way. */
import {
  type GitCredential,
  type GitCredentialBody,
  maxCredentials,
  type Secret,
  type SecretBody,
} from "@berth/shared/credentials/credentials";
import { AppError } from "@berth/shared/errors";
import type { CredentialKind, Credentials } from "../store/credentials.ts";
import type { Origins } from "./origins.ts";
import type { GitAbout, SecretAbout } from "./rules.ts";

export interface KeepDeps {
  credentials: Credentials;
  origins: Pick<Origins, "end">;
  /** Git in the user's workspace is told where its hosts are now. */
  onGitChanged(userId: string): Promise<void>;
}
export type Keep = ReturnType<typeof createKeep>;

export function createKeep({ credentials, origins, onGitChanged }: KeepDeps) {
  async function put(userId: string, kind: CredentialKind, name: string, about: object, value: string): Promise<void> {
    const known = credentials.list(userId, kind);
    if (known.length >= maxCredentials && !known.some((row) => row.name === name))
      throw new AppError("conflict", `You have ${maxCredentials} of these already: remove one first.`);
    credentials.put(userId, kind, name, about, value);
    await changed(userId, kind, name);
  }
  async function changed(userId: string, kind: CredentialKind, name: string): Promise<void> {
    origins.end(userId, kind, name);
    if (kind === "git") await onGitChanged(userId);
  }
  const gitCredentials = (userId: string): GitCredential[] =>
    credentials.list<GitAbout>(userId, "git").map(({ name: host, about, ...uses }) => ({ host, ...about, ...uses }));
  const secrets = (userId: string): Secret[] =>
    credentials.list<SecretAbout>(userId, "secret").map(({ name, about, ...uses }) => ({ name, ...about, ...uses }));

  return {
    gitCredentials,
    secrets,
    async putGitCredential(userId: string, host: string, body: GitCredentialBody): Promise<GitCredential> {
      const { token, ...about } = body;
      await put(userId, "git", host, about, token);
      return gitCredentials(userId).find((one) => one.host === host)!;
    },
    async putSecret(userId: string, name: string, body: SecretBody): Promise<Secret> {
      const { value, ...about } = body;
      await put(userId, "secret", name, about, value);
      return secrets(userId).find((one) => one.name === name)!;
    },
    /** Throws `not_found`. */
    async remove(userId: string, kind: CredentialKind, name: string): Promise<void> {
      const wasThere = credentials.remove(userId, kind, name);
      await changed(userId, kind, name);
      if (!wasThere) throw new AppError("not_found", "There is no such thing of yours.");
    },
  };
}
