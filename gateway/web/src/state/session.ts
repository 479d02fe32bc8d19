/** Who is signed in: by link, by token, until sign-out or until the session ends. */
import { signal } from "@preact/signals";
import type { Me, MeChange } from "@berth/shared/users";
import { ApiError, call, get, onSignedOut, post } from "../api/api.ts";
import type { Catalogue } from "../i18n/language.ts";
import { forgetAgents, loadAgents } from "./agents.ts";
import { loadHosts } from "./hosts.ts";
import { forgetHeld, keepFor } from "../kept/use-kept.ts";
import { startLive, stopLive, workspace } from "./live.ts";
import { closeTerminals } from "../terminal/open-terminals.ts";
import { createOtherTabs } from "../api/other-tabs.ts";

/** Why nobody is signed in: what the page has a sentence for, or what a call threw. */
export type OutReason = keyof Catalogue["signIn"]["why"] | Error;

type Session =
  | { kind: "unknown" }
  /** `oidc`: whether there is a provider to sign in at. */
  | { kind: "out"; why: OutReason | null; oidc: boolean }
  | { kind: "unreachable"; why: unknown }
  | { kind: "in"; me: Me };
export const session = signal<Session>({ kind: "unknown" });

let hasProvider = false;
const otherTabs = createOtherTabs("berth.session", () => void loadSession());

/** Finds out who is signed in; a code in the fragment (from a printed link) is used up first. */
export async function startSession(): Promise<void> {
  onSignedOut(() => {
    if (session.value.kind === "in") end("ended");
  });
  const code = new URLSearchParams(location.hash.slice(1)).get("code");
  if (!code) return loadSession();
  history.replaceState(null, "", location.pathname + location.search);
  const failure = await signIn({ code });
  if (failure) await loadSession(failure);
}

/** Signs in with a code or a token; answers null, or why not. */
export async function signIn(credential: { code: string } | { token: string }): Promise<OutReason | null> {
  try {
    await post("/session", credential);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.code !== "unauthenticated") return error;
    return "code" in credential ? "linkUsed" : "tokenRefused";
  }
  await loadSession();
  otherTabs.tell();
  return null;
}

/** Changes what the user says of themselves. */
export async function updateMe(change: MeChange): Promise<void> {
  session.value = { kind: "in", me: await call<Me>("PATCH", "/v1/me", change) };
}

export async function signOut(): Promise<void> {
  await call("DELETE", "/session");
  forgetHeld();
  end("signedOut");
  otherTabs.tell();
}

async function loadSession(failure: OutReason | null = null): Promise<void> {
  try {
    if (session.value.kind !== "in") {
      const { oidc, signedIn } = await get<{ oidc: boolean; signedIn: boolean }>("/session");
      hasProvider = oidc;
      // Who is out already still hears why a link did not let them in.
      if (!signedIn) return session.value.kind === "out" && failure === null ? undefined : end(failure);
    }
    const me = await get<Me>("/v1/me");
    const isOther = session.value.kind === "in" && session.value.me.user.id !== me.user.id;
    if (isOther) end(null);
    keepFor(me.user.id);
    workspace.value ??= me.workspace;
    session.value = { kind: "in", me };
    startLive();
    void loadAgents();
    // Without its name a host is still a host.
    if (me.role === "admin") void loadHosts().catch(() => undefined);
  } catch (error) {
    const isOut = error instanceof ApiError && error.code !== "offline";
    if (isOut && session.value.kind !== "out") end(failure);
    else if (!isOut && session.value.kind !== "in") session.value = { kind: "unreachable", why: error };
  }
}

/** Reloads what `/v1/me` says. */
export const refreshSession = () => loadSession();

function end(why: OutReason | null): void {
  stopLive();
  closeTerminals();
  forgetAgents();
  session.value = { kind: "out", why, oidc: hasProvider };
}
