/** 무엇이 잘못되었는지. 알려진 API 문장은 우리말로, 모르는 문장은 영어 그대로 괄호에 넣어요. */
import type { errors as en, Trouble } from "../en/errors.ts";

const soon = (seconds: number | null) =>
  seconds === null ? "잠시 뒤에 다시 시도하세요." : `${seconds}초 뒤에 다시 시도하세요.`;

/** API의 문장 가운데 사람이 자주 만나는 것. */
export const details: Record<string, string> = {
  "An agent of this name exists already.": "같은 이름의 에이전트가 이미 있어요.",
  "A user of this name exists already.": "같은 이름의 사용자가 이미 있어요.",
  "The run has ended already.": "이미 끝난 실행이에요.",
  "The run has not started yet.": "아직 시작하지 않은 실행이에요.",
  "The run has started, or is just being started.": "이미 시작했거나 지금 시작하는 실행이에요.",
  "The run is just ending: send a new message.": "곧 끝나는 실행이에요. 새 메시지를 보내세요.",
  "The run takes no messages: send a new one when it is over.":
    "이 실행은 메시지를 받지 않아요. 끝난 뒤에 새 메시지를 보내세요.",
  "The last active admin cannot be disabled or demoted.":
    "마지막 관리자는 비활성화하거나 일반 사용자로 바꿀 수 없어요.",
  "The workspace's disk is full: delete files first.": "워크스페이스의 디스크가 가득 찼어요. 먼저 파일을 삭제하세요.",
  "This user is disabled.": "비활성화된 사용자예요.",
  "Only an admin may do this.": "관리자만 할 수 있어요.",
  "A file may have 1 GiB at most.": "파일은 최대 1GiB까지 올릴 수 있어요.",
  "The workspace has ended meanwhile: try again.": "그사이 워크스페이스가 종료됐어요. 다시 시도하세요.",
  "The host agent is being restarted: try again.": "호스트 에이전트가 다시 시작하는 중이에요. 다시 시도하세요.",
};

/** 아는 문장은 그대로, 모르는 문장은 설명 뒤에 덧붙여요. */
const told = (words: string, { detail }: Trouble) => details[detail] ?? `${words} (${detail})`;

export const errors: typeof en = {
  offline: () => "게이트웨이가 응답하지 않아요. 연결을 확인한 뒤 다시 시도하세요.",
  outdated: () => "Berth가 업데이트됐어요. 페이지를 새로고침하세요.",
  cut: () => "연결이 끊겨서 아무것도 저장되지 않았어요.",
  aborted: () => "중지해서 아무것도 저장되지 않았어요.",
  unknown: ({ detail }) => `문제가 생겼어요. (${detail})`,
  invalid_request: ({ detail, fields }) => {
    const named = fields.filter(({ path }) => path !== "" && path !== "?");
    return named.length > 0
      ? `입력한 내용을 확인하세요. (${named.map(({ path, message }) => `${path}: ${message}`).join(", ")})`
      : `입력한 내용을 확인하세요. (${detail})`;
  },
  unauthenticated: () => "로그인이 풀렸어요. 다시 로그인하세요.",
  forbidden: (trouble) => told("권한이 없어요.", trouble),
  not_found: () => "더 이상 존재하지 않아요.",
  agent_limit: ({ limit }) =>
    limit === null
      ? "에이전트를 더 만들 수 없어요. 먼저 하나를 삭제하세요."
      : `에이전트 ${limit}개를 모두 쓰고 있어요. 먼저 하나를 삭제하세요.`,
  agent_busy: (trouble) => told("에이전트가 작업 중이에요. 끝나기를 기다리거나 중지하세요.", trouble),
  conflict: (trouble) => told("지금 상태에서는 할 수 없어요.", trouble),
  payload_too_large: (trouble) => told("너무 커요.", trouble),
  run_limit: ({ limit }) =>
    `${limit === null ? "진행 중인 실행이 너무 많아요." : `이미 실행 ${limit}건이 진행 중이에요.`} 하나가 끝나기를 기다리세요.`,
  rate_limited: ({ limit, retryAfter }) =>
    limit === null
      ? `요청이 너무 많아요. ${soon(retryAfter)}`
      : "하루에 저장할 수 있는 메시지와 웹훅의 양을 모두 썼어요. 더 짧게 보내거나 내일(UTC) 다시 보내세요.",
  internal: (trouble) => told("서버에 문제가 생겼어요.", trouble),
  host_unavailable: (trouble) => told("호스트가 응답하지 않아요. 잠시 뒤에 다시 시도하세요.", trouble),
  no_host: ({ retryAfter }) => `지금은 새 워크스페이스를 받는 호스트가 없어요. ${soon(retryAfter)}`,
};
