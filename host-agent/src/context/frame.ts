/** What a client of a socket says in text, one object a frame. */
import type { z } from "zod";
import { parseSmall } from "@berth/shared/bounds/json-scan";

/** Longer ones are none, whatever they are: parsing costs by the value. */
export const frameMaxLength = 1000;

/** Null where it does not fit. */
export const readFrame = <T>(schema: z.ZodType<T>, text: string): T | null =>
  text.length > frameMaxLength ? null : (schema.safeParse(parseSmall(text, frameMaxLength)).data ?? null);
