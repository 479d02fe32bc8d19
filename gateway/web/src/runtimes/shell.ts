/** Messages as scripts for bash. */
import { createWords } from "../i18n/language.ts";
import type { Runtime, RuntimeWords } from "./runtime.ts";

export const shell: Runtime = {
  words: createWords<RuntimeWords>({
    en: {
      name: "Shell",
      placeholder: "A shell script…",
      emptyTitle: "Write a shell script",
      empty: [
        "Each message runs with bash in this agent's directory, as its own user. What it prints shows up here, line by line.",
      ],
      choice: "Your messages as shell scripts",
    },
    ko: {
      name: "셸",
      placeholder: "셸 스크립트…",
      emptyTitle: "셸 스크립트를 작성하세요",
      empty: ["보낸 메시지를 이 에이전트의 디렉터리에서 bash 스크립트로 실행해요. 출력은 한 줄씩 여기에 나타나요."],
      choice: "메시지를 셸 스크립트로 실행",
    },
  }),
  example: "git clone https://… && cd … && make test",
  hasModel: false,
  reads: false,
  dialect: null,
};
