/** What the gateway answers beside the resources of `shared`, as this page uses it. */
import type { HostLoad } from "@berth/shared/host-api";

export interface Host {
  id: string;
  name: string;
  url: string;
  status: "live" | "draining" | "down";
  /** Why no new user is placed here; null while it takes some. */
  reason: string | null;
  draining: boolean;
  users: number;
  version: string | null;
  load: HostLoad | null;
  createdAt: string;
  lastReportAt: string | null;
}

export interface Token {
  id: string;
  name: string;
  createdAt: string;
  expiresAt: string;
  lastUsedAt: string | null;
}

export interface User {
  id: string;
  name: string;
  role: "user" | "admin";
  disabled: boolean;
  createdAt: string;
}

export interface AuditEntry {
  id: string;
  at: string;
  actor: { kind: "user" | "token" | "host" | "system"; id: string | null; name: string | null; tokenId: string | null };
  action: string;
  target: { id: string; name: string | null } | null;
  address: string | null;
  outcome: "succeeded" | "refused";
  detail: Record<string, string | number | boolean | null>;
}
