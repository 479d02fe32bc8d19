/** 에이전트: 첫 페이지, 새로 만들기, 모든 페이지가 쓰는 말, 함께 쓰는 워크스페이스. */
import type { agents as en } from "../en/agents.ts";
import { createPlural } from "../grammar.ts";

const plural = createPlural("ko");

export const agents: typeof en = {
  title: "에이전트",
  inUse: (count, limit) => `${count}/${limit}`,
  loading: "에이전트를 불러오는 중…",
  runs: (count) => plural(count, { other: "실행 #건" }),
  cores: (count) => plural(count, { other: "코어 #개" }),
  costIn: (usd, runs) => `최근 30일 ${runs}, ${usd}`,
  noRuns: "최근 30일 동안 실행한 적이 없어요",
  stopWorkspace: "워크스페이스 중지",
  startWorkspace: "워크스페이스 시작",
  stopWorkspaceTitle: "컨테이너와 그 안의 실행을 종료해요. 파일은 그대로 있어요.",
  stopAsk: "워크스페이스를 중지할까요?",
  stopIt: "중지",
  stopWhat: (runs) =>
    `${runs === 0 ? "" : `진행 중인 실행 ${runs}건과 `}모든 터미널이 함께 종료돼요. 파일은 그대로 있어요.`,
  full: (limit) => `에이전트 ${limit}개를 모두 쓰고 있어요. 새로 만들려면 설정에서 하나를 삭제하세요.`,
  nameOfNew: "새 에이전트의 이름",
  newAgent: "새 에이전트",
  nameFirst: "먼저 에이전트의 이름을 입력하세요.",
  more: "추가 설정",
  repository: "클론할 저장소",
  repositoryPlaceholder: "https://… (선택)",
  kind: "종류",
  settings: "설정",
  terminal: "터미널",
  files: "파일",
  triggers: "트리거",
  changes: "변경 사항",
  model: "모델",
  instructions: "지침",
  instructionsPlaceholder: "항상 알아야 할 것: 규칙, 명령, 건드리지 말아야 할 것",
  permissions: "권한",
  permissionChoices: {
    skip: "알아서 진행하기",
    ask: "바꾸거나 실행하기 전에 물어보기",
    plan: "먼저 계획을 세우고 물어보기",
  },
  permissionNames: { skip: "알아서 진행", ask: "먼저 물어봄", plan: "먼저 계획함" },
  newConversationAsk: "새 대화 시작…",
  newConversationTitle: (agent) => `${agent} 에이전트와 새 대화를 시작할까요?`,
  newConversationAct: "새로 시작",
  newConversationLoss: "파일과 지침에 있는 것 말고는 지금까지 나눈 이야기를 모두 잊어요.",
};
