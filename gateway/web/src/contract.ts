/** What the gateway answers beside the resources of `shared`, as this page uses it. */
import type { HostLoad } from "@berth/shared/host-api";

export interface Host {
  id: string;
  name: string;
  url: string;
  status: "live" | "down";
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
