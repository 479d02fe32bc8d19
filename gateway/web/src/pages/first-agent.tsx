/** What who has no agent yet is told: the first thing of the dashboard that they see. */
import type { ComponentChildren } from "preact";
import type { Me } from "@berth/shared/users";
import { NewAgent } from "../agents/new-agent.tsx";
import type { Wrap } from "../i18n/grammar.ts";
import { createWords } from "../i18n/language.ts";
import { Link } from "../ui/router.tsx";

interface FirstWords {
  title: string;
  what: string;
  hints: {
    share: (agents: number, runs: number) => string;
    apart: (code: Wrap) => ComponentChildren;
    api: (token: Wrap, docs: Wrap) => ComponentChildren;
  };
}
const firstWords = createWords<FirstWords>({
  en: {
    title: "Create your first agent",
    what: "An agent is a conversation with a directory of its own. You write to it, it works in your container, and you watch it work. Close the page whenever you like: a run keeps going and is here when you come back.",
    hints: {
      share: (agents, runs) => `Up to ${agents} agents share one container, and ${runs} can work at the same time.`,
      apart: (code) => [
        "One agent per task or repository works well: they can't read each other's files, except in ",
        code("/workspace/shared"),
        ".",
      ],
      api: (token, docs) => [
        "Programs can do the same with the API: create a ",
        token("token"),
        " and see ",
        docs("how"),
        ".",
      ],
    },
  },
  ko: {
    title: "첫 에이전트를 만드세요",
    what: "에이전트마다 전용 디렉터리와 대화가 하나씩 있어요. 메시지를 보내면 내 컨테이너에서 작업하고, 진행 과정을 바로 볼 수 있어요. 페이지를 닫아도 실행은 계속되고, 돌아오면 그대로 있어요.",
    hints: {
      share: (count, runs) =>
        `에이전트 최대 ${count}개가 컨테이너 하나를 함께 쓰고, 동시에 ${runs}개까지 작업할 수 있어요.`,
      apart: (code) => [
        "작업이나 저장소마다 에이전트를 하나씩 두면 좋아요. ",
        code("/workspace/shared"),
        " 밖에서는 서로의 파일을 읽을 수 없어요.",
      ],
      api: (token, docs) => [
        "프로그램도 API로 같은 일을 할 수 있어요. ",
        token("토큰"),
        "을 만들고 ",
        docs("사용법"),
        "을 확인하세요.",
      ],
    },
  },
});

export function FirstAgent({ me }: { me: Me }) {
  const words = firstWords();
  const { hints } = words;
  return (
    <section class="page narrow first">
      <h1>{words.title}</h1>
      <p>{words.what}</p>
      <NewAgent me={me} isFirst />
      <ul class="hints muted">
        <li>{hints.share(me.limits.agents, me.limits.concurrentRuns)}</li>
        <li>
          {hints.apart((code) => (
            <code>{code}</code>
          ))}
        </li>
        <li>
          {hints.api(
            (token) => (
              <Link href="/tokens">{token}</Link>
            ),
            (docs) => (
              <a href="/docs">{docs}</a>
            ),
          )}
        </li>
      </ul>
    </section>
  );
}
