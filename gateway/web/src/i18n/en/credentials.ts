/** Credentials for git and secrets of other APIs. */
import type { ComponentChildren } from "preact";
import type { Wrap } from "../grammar.ts";

export const credentials = {
  title: "Credentials",
  what: "What your agents use and never see. They are sealed on your host and added on the way out; nobody can read them back, not even you.",
  git: "Git",
  gitWhat: "Clone, fetch, push and pull requests work with these in all your agents.",
  gitNone: "No credentials for git yet. Public repositories need none.",
  secrets: "Secrets of other APIs",
  secretsWhat: (code: Wrap): ComponentChildren => [
    "Your agents call ",
    code("http://NAME.secret.berth.internal/"),
    ", and the secret is added on the way to the host.",
  ],
  secretsNone: "No secrets yet.",
  usedFor: "Used for",
  allRepositories: "all repositories",
  readOnly: "read-only",
  removeTitle: (name: string) => `Delete the credential ${name}?`,
  removeLoss:
    "It stops working within a second, and whatever is using it is cut off. Revoke the token at its issuer too.",
  host: "Host",
  username: "Username",
  token: "Access token",
  repositories: "Repositories (optional)",
  repositoriesPlaceholder: "owner/name, owner/* (empty: all)",
  forge: "Pull requests go to",
  forgeByName: "as its address suggests",
  onlyReads: "Read-only",
  keepGit: "Save the credential",
  secretName: "Name of the secret",
  value: "Value",
  hosts: "Hosts",
  header: "Header, with {} for the value",
  paths: "Paths (optional)",
  pathsPlaceholder: "/v1/issues (empty: all)",
  keepSecret: "Save the secret",
};
