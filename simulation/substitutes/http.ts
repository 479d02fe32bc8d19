/** The substitutes of `node:http`, `node:https` and `@hono/node-server`: servers that the network knows, or that are a name in a directory. */
import { EventEmitter } from "node:events";
import { hasWorld, type Side, world } from "../world/world.ts";
import { machine } from "../machine/machine.ts";

export type Fetch = (request: Request) => Response | Promise<Response>;
/** Who answers at a port, of the process that listens. */
export const listening = new Map<number, { side: Side; fetch: Fetch }>();

class Server extends EventEmitter {
  maxConnections = 0;
  readonly #fetch: Fetch | undefined;
  #port: number | null = null;

  constructor(listener: (() => void) & { fetch?: Fetch }) {
    super();
    this.#fetch = listener.fetch;
  }

  listen(at: number | string, ...rest: unknown[]): this {
    const side = world().current;
    const done = rest.at(-1) as () => void;
    if (typeof at === "string") {
      const make = () => void machine().files.add(at, "socket", 0o777, "listen");
      world()
        .io("fs.listen", make)
        .then(done, (error: unknown) => this.emit("error", error));
      return this;
    }
    this.#port = at || 1;
    if (this.#fetch) listening.set(this.#port, { side, fetch: this.#fetch });
    world().after(1, done);
    return this;
  }

  address(): { port: number | null } {
    return { port: this.#port };
  }

  close(done?: () => void): this {
    if (hasWorld() && this.#port !== null && listening.get(this.#port)?.side === world().current)
      listening.delete(this.#port);
    done?.();
    return this;
  }

  closeAllConnections(): void {}
}

export function createServer(...given: unknown[]): Server {
  return new Server(given.at(-1) as () => void);
}
/** The agents' names are not tried to be reached here. */
export class Agent {
  destroy(): void {}
}
export function request(): never {
  throw new Error("nothing here calls over node:http");
}
export default { createServer, Agent, request };

/** Of `@hono/node-server`: keeps what answers requests. */
export const getRequestListener = (fetch: Fetch) => Object.assign(() => undefined, { fetch });
