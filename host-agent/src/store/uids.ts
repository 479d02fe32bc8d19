/** Who is who by number, on the host as in every container: no two agents of a host ever have the same uid. */

/** The first uid of an agent; the next ones follow, and none is ever given twice. */
export const firstUid = 20_000;
/** The forwarder's, in every workspace. */
export const forwarderUid = 19_999;

/** Groups by what a process belongs to: ending a run spares terminals, ending a terminal spares file transfers. */
export const runGid = 19_001;
export const sessionGid = 19_002;
export const transferGid = 19_003;
export const programGid = 19_004;

/** The processes of an agent's run, as `machine/processes.ts` asks for them. */
export const inRunOf =
  (agentUid: number) =>
  ({ uid, gid }: { uid: number; gid: number }): boolean =>
    uid === agentUid && gid === runGid;
