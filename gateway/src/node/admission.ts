/**
 * Load shedding: of what comes by the thousand at once no more is taken than can be served before its sender gives up. Who has no place
 * is told so before it costs anything, and comes again; who has one is served to the end. Knows no routes and no answers.
 */
import type { Duplex } from "node:stream";
import { createPlaces } from "@berth/shared/bounds/places";
import type { Burst } from "../deps.ts";

/**
 * One network has half of the places that nobody else takes. Reports that all come in one turn of the event loop hold users' calls up
 * by some milliseconds each. There are more places for sockets: tickets are held back, and who has one has been served already.
 */
const atOnce: Record<Burst, number> = { reports: 32, tickets: 32, sockets: 256 };

export type Admission = ReturnType<typeof createAdmission>;

/** What comes back takes a place for what came by this connection; the answer gives it back, null is none. */
export function createAdmission() {
  const places = {
    reports: createPlaces(atOnce.reports),
    tickets: createPlaces(atOnce.tickets),
    sockets: createPlaces(atOnce.sockets),
  };
  return async (burst: Burst, network: string, socket: Duplex): Promise<(() => void) | null> => {
    const give = places[burst].take(network);
    if (!give) return null;
    let isTaken = true;
    const leave = () => {
      if (isTaken) give();
      isTaken = false;
    };
    // What was sent is read in one turn of the event loop, and that its sender has left since in the next.
    await nextTurn();
    await nextTurn();
    if (!socket.destroyed && !socket.readableEnded) return leave;
    leave();
    return null;
  };
}

const nextTurn = () => new Promise<void>((resolve) => void setImmediate(resolve));
