/** 에이전트 말고 사람이 가진 것: 실행, API 토큰, 계정, 그리고 로그인. */
import type {
  account as enAccount,
  lists as enLists,
  search as enSearch,
  signIn as enSignIn,
  tokens as enTokens,
  use as enUse,
} from "../en/lists.ts";

export const lists: typeof enLists = {
  runs: "실행",
  agent: "에이전트",
  allAgents: "모든 에이전트",
  state: "상태",
  allStates: "모든 상태",
  startedBy: "시작 방법",
  anyTrigger: "모든 방법",
  message: "메시지",
  took: "걸린 시간",
  cost: "비용",
  when: "시각",
  by: "에이전트:",
  emptyMessage: "빈 메시지",
  deleted: "삭제됨",
  olderRuns: "이전 실행",
  noneOfNewest: "최근 실행 가운데 조건에 맞는 것이 없어요.",
  noneFit: "조건에 맞는 실행이 없어요.",
  noRuns: "아직 실행이 없어요. 에이전트에게 메시지를 보내면 여기에 나타나요.",
};

export const search: typeof enSearch = {
  title: "검색",
  field: "검색어",
  placeholder: "메시지나 답변에 있는 단어",
  submit: "검색",
  none: "검색어가 모두 들어 있는 메시지가 없어요.",
  older: "이전 메시지",
};

export const use: typeof enUse = {
  title: "사용량",
  budget: "오늘 예산",
  left: (left, budget) => `오늘 예산 ${budget} 중 ${left} 남았어요.`,
  ofRun: (usd) => `실행 1건에 최대 ${usd}까지 쓸 수 있어요.`,
  noBudget: "정해진 예산이 없어요.",
  days: "나",
  daysOfAll: "모두",
  everybody: "모든 사용자",
  asTable: "날짜별로 보기",
  day: "날짜",
  agent: "에이전트",
  user: "사용자",
  runs: "실행",
  tokens: "토큰",
  cost: "비용",
  none: "이 기간에 보낸 메시지가 없어요.",
  inDays: (total, days, most) => `${days}일 동안 ${total}, 하루 최대 ${most}(UTC)`,
};

export const tokens: typeof enTokens = {
  title: "API 토큰",
  what: (code, docs) => [
    "토큰이 있는 프로그램은 내 권한으로 API를 쓸 수 있어요. 요청에 ",
    code("Authorization: Bearer …"),
    " 헤더를 붙이면 돼요. ",
    docs("API 문서"),
    "를 참고하세요.",
  ],
  none: "아직 토큰이 없어요. 따로 폐기할 수 있도록 프로그램마다 하나씩 만드세요.",
  created: "만든 시각",
  expires: "만료",
  revoke: "폐기",
  revokeAsk: "폐기…",
  revokeOne: (name) => `${name} 폐기`,
  revokeTitle: (name) => `${name} 토큰을 폐기할까요?`,
  revokeLoss: "이 토큰을 쓰는 요청은 바로 거부되고, 열려 있는 소켓도 끊겨요.",
  nameOfNew: "토큰의 이름",
  namePlaceholder: "어디에 쓰나요?",
  expiresAfter: "유효 기간",
  make: "토큰 만들기",
  lifetimes: { day: "1일", month: "30일", quarter: "90일", year: "1년" },
};

export const account: typeof enAccount = {
  title: "계정",
  commits: "커밋",
  commitsWhat: "저장소에 따로 정해 두지 않았다면 에이전트는 이 작성자로 커밋해요.",
  gitName: "작성자 이름",
  gitEmail: "작성자 이메일",
  gitEmailPlaceholder: "비워 두면 수신할 수 없는 주소를 써요",
  saved: "저장했어요. 다음 커밋부터 적용돼요.",
};

export const signIn: typeof enSignIn = {
  signIn: "로그인",
  withToken: "API 토큰으로 로그인",
  orWithToken: "또는 API 토큰으로 로그인",
  withIt: "토큰으로 로그인",
  link: (oidc, code) => [
    `${oidc ? "그 계정이" : "토큰이"} 없나요? 이 Berth의 관리자에게 로그인 링크를 요청하세요. 관리자는 사용자 페이지에서 링크를 만들 수 있고, 링크는 한 시간 안에 한 번만 쓸 수 있어요. 직접 운영한다면 `,
    code("npm start"),
    " 또는 ",
    code("npm run -s link -- 이름"),
    " 명령이 링크를 출력해요.",
  ],
  why: {
    ended: "세션이 만료됐어요. 계속하려면 다시 로그인하세요. 작성하던 내용은 그대로 있고, 실행은 계속돼요.",
    signedOut: "로그아웃했어요.",
    linkUsed:
      "이미 사용했거나 만료된 로그인 링크예요. 관리자에게 새 링크를 요청하거나 다음 명령으로 만드세요: npm run -s link -- 이름",
    tokenRefused: "쓸 수 없는 토큰이에요. 잘못 입력했거나, 만료됐거나, 폐기됐거나, 다른 Berth의 토큰이에요.",
  },
};
