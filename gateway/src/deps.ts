/** What the app is built from. Only here stand interfaces with more than one implementation: Node, Workers, tests. */
import type { Log } from "@berth/shared/log";
import type { Settings } from "@berth/shared/settings";
import type { Atomic, Database } from "./data/database.ts";
import type { Digests } from "./keys/digests.ts";
import type { Keyring } from "./keys/keyring.ts";

/** No connection came about: nobody can have got the call. */
export class UnsentError extends Error {}

/** The one way to a host. Rejects when the host cannot be reached (`UnsentError` where that is known to be all) or `request.signal` aborts before the headers came. */
export interface HostTransport {
  fetch(request: Request): Promise<Response>;
}

/** How many hosts a tick asks at once, for how many users at a time, and for how many users in all. */
export interface StartBounds {
  hosts: number;
  usersOfHost: number;
  users: number;
}

export interface Deps {
  settings: Settings;
  db: Database;
  atomic: Atomic;
  /** Names what the database holds, as `remember` wants it. */
  version?: () => string;
  keyring: Keyring;
  digests: Digests;
  transport: HostTransport;
  log: Log;
  /** Milliseconds since 1970. */
  now: () => number;
  /** Uses of tokens that are still to be stored: when, by the token's id. */
  uses: Map<string, string>;
  /** When this process started, in milliseconds since 1970; absent where processes come and go. */
  startedAt?: number;
  /** For how many milliseconds hosts shall gather changes before they report; absent where there is no loop to spare. */
  gatherMs?: () => number;
  /** How much a tick may have under way to hosts; absent where connections are as many as it likes. */
  starts?: StartBounds;
  /** Lets work outlive the call that began it; absent where the process goes on anyway. */
  background?: (work: Promise<unknown>) => void;
  /** The dashboard's file at the path of the request (`/` is its page), or null; absent where it is not built. */
  assets?: ((request: Request) => Promise<Response | null>) | undefined;
}

/** What comes by the thousand at once when a gateway or its hosts are back. */
export type Burst = "reports" | "tickets" | "sockets";

/** What a runtime adds to a request. */
export interface Bindings {
  /** The address of the connection's other end. */
  address?: string | undefined;
  /** Lets work go on after the answer. */
  waitUntil?: (work: Promise<unknown>) => void;
  /**
   * Admission control: takes a place among those of this burst that are in progress, which the answer gives back; null where there is
   * none, or the sender has left. Absent where the runtime sheds load by itself.
   */
  admit?: (burst: Burst, network: string) => Promise<(() => void) | null>;
  /** Compresses an answer; absent where the runtime does that by itself. */
  gzip?: (text: string) => Promise<Uint8Array<ArrayBuffer>>;
  /** Cuts the client's connection in the middle of an answer. */
  breakOff?: () => void;
  /** Opens the socket at the target and joins both ends; the answer is the target's own when it refuses. */
  upgrade?: (request: Request) => Promise<Response>;
  /** Accepts the socket with this subprotocol and closes it at once. */
  closeSocket?: (code: number, reason: string, protocol: string) => Response;
}

export interface AppEnv {
  Bindings: Bindings;
  Variables: { requestId: string; route: string; userId: string | null; cookie: string | null };
}
