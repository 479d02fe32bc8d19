/** Messages as scripts for bash. */
import { t } from "../i18n/language.ts";
import type { Runtime } from "./runtime.ts";

export const shell: Runtime = {
  words: () => t().conversation.shell,
  example: "git clone https://… && cd … && make test",
  isScript: true,
  hasModel: false,
  reads: false,
  dialect: null,
};
