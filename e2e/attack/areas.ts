/** All areas that are attacked. A further one is a file with its attempts, a line here, and a test file of two lines. */
import type { Area } from "./attempt.ts";
import { work } from "./work.ts";

export const areas: Area[] = [work];
