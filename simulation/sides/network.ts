/** What carries calls between the processes: late, lost, or twice; a connection to a process that dies breaks. */
import { carrier, type Outgoing } from "../world/globals.ts";
import { UnsentError } from "../../gateway/src/deps.ts";
import { mark, never, type Side, world } from "../world/world.ts";

/** Who answers at an address now: a process, and how it answers; null where nobody listens. */
type Address = () => { side: Side; answer: (request: Outgoing) => Letter | Promise<Letter> } | null;

export interface Letter {
  status: number;
  headers: [string, string][];
  body: string;
}

/** For those that answer as servers do. */
export const byFetch =
  (fetch: (request: Request) => Response | Promise<Response>) =>
  async ({ url, method, headers, body }: Outgoing): Promise<Letter> => {
    const answer = await fetch(new Request(url, { method, headers, body }));
    return { status: answer.status, headers: [...answer.headers], body: await answer.text() };
  };

/** Once refused, it may be begun when it arrives again: a host does not remember whom it refused, and HTTP repeats no call that was answered. */
export const repeatedStart = "a start is repeated";
const planFaults = { refused: "lost", lost: "answer lost", late: "late" } as const;
const originOf = (url: string) => /^\w+:\/\/[^/?]+/.exec(url)![0];
const unreachable = (why: string) => new TypeError(`fetch failed: ${why} ${mark}`);

export class Network {
  readonly #addresses = new Map<string, Address>();
  /** Nothing arrives while it is cut. */
  isCut = false;
  /** Messages under way for the second time: whoever sent them waits for the first alone. */
  repeatedUnderWay = 0;

  listen(origin: string, address: Address): void {
    this.#addresses.set(origin, address);
  }

  /** Takes the place of `fetch` for every process. */
  connect(): void {
    carrier.send = (request) => this.send(request);
  }

  send(request: Outgoing): Promise<Response> {
    const from = world().current;
    const origin = originOf(request.url);
    const draws = world().draws(`net.${origin}`);
    const isStruck = world().isStruck(`net.${origin}`, draws);
    const drawn = isStruck ? draws.of(["lost", "answer lost", "late", "twice"] as const) : null;
    const planned = world().planned(`net.${origin}`, from);
    if (from.isDead) return never();
    const fault = planned ? planFaults[planned] : drawn;
    const { signal } = request;
    if (fault === "twice" && request.method === "POST" && request.url.endsWith("/v1/runs"))
      world().traits.add(repeatedStart);
    return new Promise((settle, refuse) => {
      const giveUp = () => reject(signal!.reason as Error);
      // Node keeps a signal made of several for as long as somebody listens to it, and with it whatever that somebody knows.
      const forget = () => signal?.removeEventListener("abort", giveUp);
      const resolve = (answer: Response) => [forget(), settle(answer)];
      const reject = (error: Error) => [forget(), refuse(error)];
      signal?.addEventListener("abort", giveUp);
      from.onDeath.push(forget);
      const tell = (answer: Letter) => {
        const lateMs = draws.delay() + (fault === "late" ? draws.between(1000, 30_000) : 0);
        world().after(lateMs, () => resolve(open(answer)), from);
      };
      const fail = (why: string) => {
        // What is under way twice may arrive all the same.
        const isUnsent = fault !== "twice" && ["ECONNREFUSED", "EHOSTUNREACH"].includes(why);
        world().after(
          draws.delay(),
          () => reject(isUnsent ? new UnsentError(unreachable(why).message) : unreachable(why)),
          from,
        );
      };
      if (this.isCut) return draws.is(0.5) ? fail("EHOSTUNREACH") : undefined;
      if (fault === "lost") return draws.is(0.5) ? fail("ECONNRESET") : undefined;
      const arrive = () => this.#arrive(request, fault === "answer lost" ? () => fail("ECONNRESET") : tell, fail);
      world().after(draws.delay(), arrive, world().outside);
      if (fault === "twice") this.#arriveAgain(request, draws.between(1, 2000));
    });
  }

  #arriveAgain(request: Outgoing, lateMs: number): void {
    this.repeatedUnderWay++;
    let isOver = false;
    const end = () => {
      if (!isOver) this.repeatedUnderWay--;
      isOver = true;
    };
    world().after(lateMs, () => this.#arrive(request, end, end), world().outside);
  }

  #arrive(request: Outgoing, tell: (answer: Letter) => void, fail: (why: string) => void): void {
    const target = this.#addresses.get(originOf(request.url))?.();
    if (!target || target.side.isDead) return fail("ECONNREFUSED");
    target.side.onDeath.push(() => fail("ECONNRESET"));
    world().after(0, async () => tell(await target.answer(request)), target.side);
  }
}

/** As far as anybody looks into it: a real one costs more than all else that a report does. */
function open({ status, headers, body }: Letter): Response {
  const text = async () => body;
  const json = async () => JSON.parse(body) as unknown;
  const ok = status < 400;
  const answer = {
    status,
    ok,
    get headers() {
      return new Headers(headers);
    },
    text,
    json,
    body: null,
  };
  return answer as unknown as Response;
}
