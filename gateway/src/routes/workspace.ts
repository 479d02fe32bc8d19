/** The user's workspace: asked of its host, or as the host told it last. */
import { AppError } from "@berth/shared/errors";
import { describeWorkspace, workspaceSchema } from "@berth/shared/resources";
import { settingsFor } from "@berth/shared/users";
import { callHostJson, longDeadlineMs } from "../hosts/call.ts";
import { findHostOfUser, placeUser } from "../hosts/placement.ts";
import { route } from "../http/route.ts";
import { findWorkspace, withNotice } from "../hosts/workspaces.ts";

const askMs = 2000;

export const workspaceRoutes = [
  route({
    method: "GET",
    path: "/v1/workspace",
    summary: "The state of the user's workspace; as last reported when its host does not answer",
    auth: "user",
    answer: workspaceSchema,
    run: async ({ deps, caller }) => {
      const host = await findHostOfUser(deps.db, caller.user.id);
      if (!host) return findWorkspace(deps.db, deps.settings, caller.user);
      const call = { method: "GET", path: "/v1/workspace", deadlineMs: askMs } as const;
      try {
        return await withNotice(deps.db, caller.user.id, await callHostJson(deps, host, caller, call, workspaceSchema));
      } catch (error) {
        if (!(error instanceof AppError)) throw error;
        return findWorkspace(deps.db, deps.settings, caller.user);
      }
    },
  }),
  route({
    method: "POST",
    path: "/v1/workspace/start",
    summary: "Start the workspace; answers when it is running",
    auth: "user",
    answer: workspaceSchema,
    errors: ["host_unavailable", "no_host"],
    run: async ({ deps, caller }) => {
      const host = await placeUser(deps, caller.user.id);
      const call = { method: "POST", path: "/v1/workspace/start", deadlineMs: longDeadlineMs } as const;
      return callHostJson(deps, host, caller, call, workspaceSchema);
    },
  }),
  route({
    method: "POST",
    path: "/v1/workspace/stop",
    summary: "Stop the workspace; its runs are cancelled, its files stay",
    auth: "user",
    answer: workspaceSchema,
    errors: ["host_unavailable"],
    run: async ({ deps, caller }) => {
      const host = await findHostOfUser(deps.db, caller.user.id);
      if (!host) return describeWorkspace(settingsFor(deps.settings, caller.user.limits), null);
      const call = { method: "POST", path: "/v1/workspace/stop", deadlineMs: longDeadlineMs } as const;
      return callHostJson(deps, host, caller, call, workspaceSchema);
    },
  }),
];
