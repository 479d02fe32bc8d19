/** The machines, for admins: others know a host by its id alone. */
import type { Host, JoinToken } from "@berth/shared/hosts";
import { signal } from "@preact/signals";
import { call, getAll, post } from "../api/api.ts";

/** Oldest first; null until loaded, and for users. */
export const hosts = signal<Host[] | null>(null);

export async function loadHosts(): Promise<void> {
  hosts.value = await getAll<Host>("/v1/admin/hosts");
}

/** What to call a host: its name where that is known. */
export const hostName = (id: string): string => hosts.value?.find((host) => host.id === id)?.name ?? id;

export const createJoinToken = () => post<JoinToken>("/v1/admin/hosts/join-tokens");
export const drainHost = (id: string) => post(`/v1/admin/hosts/${id}/drain`).then(loadHosts);
export const resumeHost = (id: string) => post(`/v1/admin/hosts/${id}/resume`).then(loadHosts);
export const removeHost = ({ id, name }: Host) =>
  call("DELETE", `/v1/admin/hosts/${id}?confirm=${encodeURIComponent(name)}`).then(loadHosts);
