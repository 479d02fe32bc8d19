/** What a person has beside agents: runs, API tokens, the account; and how they sign in. */
import type { ComponentChildren } from "preact";
import type { Wrap } from "../grammar.ts";

export const lists = {
  runs: "Runs",
  agent: "Agent",
  allAgents: "All agents",
  state: "State",
  allStates: "All states",
  startedBy: "Started by",
  anyTrigger: "All sources",
  message: "Message",
  took: "Took",
  cost: "Cost",
  when: "When",
  by: "by",
  emptyMessage: "Empty message",
  deleted: "deleted",
  olderRuns: "Older runs",
  noneOfNewest: "None of the newest runs match these filters.",
  noneFit: "No runs match these filters.",
  noRuns: "No runs yet. Send an agent a message, and it shows up here.",
};

export const search = {
  title: "Search",
  field: "Words to look for",
  placeholder: "Words from a message or its answer",
  submit: "Search",
  none: "No message has all of these words.",
  older: "Older messages",
};

export const use = {
  title: "Usage",
  budget: "Today's budget",
  left: (left: string, budget: string) => `${left} of today's ${budget} is left.`,
  ofRun: (usd: string) => `A run may cost ${usd} at most.`,
  noBudget: "No budget is set.",
  days: "You",
  daysOfAll: "Everybody",
  everybody: "Everybody",
  asTable: "Day by day",
  day: "Day",
  agent: "Agent",
  user: "User",
  runs: "Runs",
  tokens: "Tokens",
  cost: "Cost",
  none: "No messages in this period.",
  inDays: (total: string, days: number, most: string) => `${total} in ${days} days, at most ${most} a day (UTC)`,
};

export const tokens = {
  title: "API tokens",
  what: (code: Wrap, docs: Wrap): ComponentChildren => [
    "A program that has one acts as you: it sends ",
    code("Authorization: Bearer …"),
    ". See the ",
    docs("API reference"),
    ".",
  ],
  none: "No tokens. Create one per program, so that each can be revoked on its own.",
  created: "Created",
  expires: "Expires",
  revoke: "Revoke",
  revokeAsk: "Revoke…",
  revokeOne: (name: string) => `Revoke ${name}`,
  revokeTitle: (name: string) => `Revoke ${name}?`,
  revokeLoss: "Anything that uses it is refused immediately, on open sockets too.",
  nameOfNew: "Name of the token",
  namePlaceholder: "What is it for?",
  expiresAfter: "Expires after",
  make: "Create a token",
  lifetimes: { day: "1 day", month: "30 days", quarter: "90 days", year: "1 year" },
};

export const account = {
  title: "Account",
  commits: "Commits",
  commitsWhat: "Your agents commit as this author, unless a repository says otherwise.",
  gitName: "Author name",
  gitEmail: "Author email",
  gitEmailPlaceholder: "if empty, an address that does not reach you",
  saved: "Saved. The next commit uses it.",
};

export const signIn = {
  signIn: "Sign in",
  withToken: "Sign in with an API token",
  orWithToken: "Or with an API token",
  withIt: "Sign in with the token",
  link: (oidc: boolean, code: Wrap): ComponentChildren => [
    `${oidc ? "No account there" : "No token"}? Ask an admin of this Berth for a sign-in link. They create one under Users, and it works once, within an hour. If you run it yourself, `,
    code("npm start"),
    " prints one, and so does ",
    code("npm run -s link -- NAME"),
    ".",
  ],
  why: {
    ended: "Your session has ended. Sign in again to continue. Nothing was lost, and runs keep going.",
    signedOut: "You are signed out.",
    linkUsed:
      "This sign-in link has already been used or has expired. Ask an admin for a new one, or print it with: npm run -s link -- NAME",
    tokenRefused: "This token is not accepted: it is mistyped, expired, revoked, or from another Berth.",
  },
};
