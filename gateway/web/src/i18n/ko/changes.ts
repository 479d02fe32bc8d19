/** 에이전트의 저장소에서 바뀐 것. */
import type { changes as en } from "../en/changes.ts";

export const changes: typeof en = {
  of: (agent) => `${agent} 변경 사항`,
  since: (branch) => (branch === null ? "마지막 커밋 이후" : `${branch} 브랜치의 마지막 커밋 이후`),
  refresh: "새로 고침",
  none: "마지막 커밋 이후 바뀐 것이 없어요.",
  reasons: {
    no_repository:
      "이 에이전트가 작업하는 곳에 Git 저장소가 없어요. 저장소를 만들거나 클론해 달라고 하면 여기에 변경 사항이 보여요.",
    too_many: "변경 사항이 많아 목록에 다 담지 못했어요. 나머지는 터미널에서 볼 수 있어요.",
    took_too_long: "Git이 너무 오래 걸려서 그때까지 찾은 것만 보여요. 나머지는 터미널에서 볼 수 있어요.",
    unreadable: "Git이 이 저장소를 다 읽지 못했어요. 터미널에서 git status를 실행하면 이유를 알 수 있어요.",
  },
  statuses: { added: "추가됨", modified: "수정됨", deleted: "삭제됨", renamed: "이름 바뀜", untracked: "추적 안 됨" },
  was: (name) => `이전 이름: ${name}`,
  changeOf: (name) => `${name} 변경 내용`,
  binary: "텍스트 파일이 아니어서 변경 내용을 보여 줄 수 없어요.",
  noLines: "달라진 줄이 없어요.",
  isCut: "변경 내용이 너무 커서 일부만 보여요. 나머지는 터미널에서 볼 수 있어요.",
  gone: (name) => `${name} 파일에는 더 이상 변경 사항이 없어요.`,
  openFile: "파일 열기",
};
