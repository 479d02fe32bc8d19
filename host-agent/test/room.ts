import type { Room } from "../src/store/room.ts";

/** Room for three runs, whatever memory they need. */
export const threeRuns: Room = { limit: 3, freeBytes: 0, neededBytes: 0 };
