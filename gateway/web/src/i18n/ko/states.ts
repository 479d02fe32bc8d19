/** 실행과 워크스페이스의 상태와 이유, 그리고 할 수 있는 일. */
import { modelKeyNames } from "@berth/shared/kinds/runtimes";
import type { states as en } from "../en/states.ts";

const modelKeys = modelKeyNames.join(" / ");

export const states: typeof en = {
  runs: {
    pending: "대기 중",
    starting: "시작하는 중",
    running: "실행 중",
    completed: "완료",
    failed: "실패",
    cancelled: "중지됨",
  },
  deliveries: { skipped: "건너뜀", rejected: "거부됨" },
  waitsForYou: "응답 필요",
  waits: {
    busy: "에이전트가 앞선 작업을 마치면 시작해요.",
    slots: "동시에 실행할 수 있는 만큼 이미 실행 중이에요. 하나가 끝나면 시작해요.",
    memory: "지금은 워크스페이스의 메모리가 부족해요. 메모리가 확보되면 시작해요.",
    host: "호스트가 지금 응답하지 않아요. 호스트가 다시 응답하면 시작해요.",
  },
  cutOff: ["중단됨: 워크스페이스가 종료됨", ""],
  ends: {
    completed: ["완료", ""],
    cancelled: ["중지됨", "요청에 따라 중지했어요. 그때까지의 결과는 남아 있어요."],
    nonzero_exit: ["실패", "프로그램이 오류로 끝났어요."],
    timed_out: [
      "중지됨: 시간 초과",
      "이 Berth의 제한 시간을 넘겼어요. 작업을 더 작게 나누거나, 관리자에게 BERTH_RUN_TIMEOUT_SECONDS 값을 늘려 달라고 하세요.",
    ],
    log_limit: [
      "중지됨: 출력이 너무 많음",
      "한 번의 실행에서 허용된 양보다 많이 출력했어요. 긴 출력은 에이전트 디렉터리의 파일에 저장하게 하세요.",
    ],
    budget_reached: [
      "중지됨: 예산 소진",
      "이 실행 또는 오늘의 예산을 모두 썼어요. 내일 다시 시도하거나, 관리자에게 내 한도나 BERTH_RUN_BUDGET_USD, BERTH_DAILY_BUDGET_USD 값을 늘려 달라고 하세요.",
    ],
    host_lost: ["유실됨: 호스트가 제거됨", "관리자가 실행 중이던 머신을 제거했어요. 메시지를 다시 보내세요."],
    container_lost: [
      "중지됨: 워크스페이스가 종료됨",
      "실행 중에 컨테이너가 중지되거나 제거됐어요. 파일은 그대로 있으니 메시지를 다시 보내세요.",
    ],
    out_of_memory: [
      "중지됨: 메모리 부족",
      "워크스페이스가 메모리 한도에 이르러 커널이 이 실행을 종료했어요. 동시에 작업하는 에이전트를 줄이거나 작업을 더 작게 나누어(병렬 작업과 빌드 크기 줄이기) 메시지를 다시 보내세요.",
    ],
    disk_full: [
      "실패: 디스크가 가득 참",
      "워크스페이스에 이 에이전트가 쓸 수 있는 공간이 없어요. 필요 없는 파일이나 에이전트를 삭제한 뒤 메시지를 다시 보내세요.",
    ],
    start_timeout: [
      "실패: 시작되지 않음",
      "에이전트 프로그램이 1분 동안 아무 응답도 하지 않았어요. 메시지를 다시 보내세요. 계속되면 관리자가 npm run doctor 명령으로 원인을 찾을 수 있어요.",
    ],
    model_auth: [
      "실패: 모델이 키를 거부함",
      `모델 API가 Berth의 키를 받아들이지 않아요. 관리자가 ${modelKeys} 값을 확인하고 호스트 에이전트를 다시 시작해야 해요.`,
    ],
    model_rate_limited: [
      "실패: 모델이 혼잡함",
      "모델 API가 요청을 계속 거부해서(요청 제한 또는 과부하) 에이전트가 포기했어요. 몇 분 뒤에 메시지를 다시 보내세요.",
    ],
    agent_error: ["실패: 에이전트 오류", "오류 내용은 위에 있어요. 같은 메시지를 다시 보내면 되는 경우가 많아요."],
  },
  neverRun: [
    "실패: 시작할 수 없음",
    "워크스페이스에 프로세스가 가득 찼거나 그런 프로그램이 없어요. 다른 실행이나 워크스페이스를 중지한 뒤 메시지를 다시 보내세요.",
  ],
  exitCode: (code) => `실패: 종료 코드 ${code ?? "알 수 없음"}`,
  lastWordsBelow: "마지막 출력은 아래에 있어요.",
  printedMayTell: "출력을 보면 이유를 알 수도 있어요.",
  oomKills: (count) => `메모리가 부족해서 커널이 도구 ${count}개를 종료했어요. 에이전트는 계속 작업했어요.`,
  idle: "쉬는 중",
  fresh: "새 에이전트",
  workspace: {
    absent: ["꺼져 있음", "다음 메시지를 보내면 자동으로 시작돼요. 파일은 그대로 있어요."],
    starting: ["시작하는 중", ""],
    running: ["실행 중", ""],
    stopping: ["중지하는 중", ""],
    failed: ["실패", "다시 시작하세요. 그래도 안 되면 관리자가 npm run doctor 명령으로 원인을 찾을 수 있어요."],
  },
};
