/** What an agent's git repository has changed, by git in its container: of what the agent wrote nothing is executed, and nothing of it is written. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Changes } from "@berth/shared/files";
import type { Agent } from "@berth/shared/resources";
import { until } from "../gateway/test/wait.ts";
import type { Client } from "./harness/client.ts";
import { type Berth, startBerth, userIdOf } from "./harness/harness.ts";

let berth: Berth;
let alice: Client;
beforeAll(async () => {
  berth = await startBerth({ BERTH_IDLE_SECONDS: "600", BERTH_DISK_BYTES: String(2 ** 30) });
  alice = await berth.client("alice");
});
afterAll(() => berth?.close());

const git = "git -c user.name=t -c user.email=t@example.com";
const commit = `${git} add . 2>/dev/null && ${git} commit -qm one`;
const make = (more = {}) => alice.createAgent(crypto.randomUUID(), { runtime: "shell", ...more });
/** Runs a script to its good end; answers what it printed. */
async function sh(agent: Agent, script: string): Promise<string> {
  const { run } = await alice.runToEnd(agent.id, script);
  expect([run.reason, run.stderrTail]).toEqual(["completed", null]);
  return run.result!.trim();
}
const url = ({ id }: Agent, path?: string) =>
  `/v1/agents/${id}/changes${path === undefined ? "" : `?path=${encodeURIComponent(path)}`}`;
const list = (agent: Agent) => alice.ok<Changes>("GET", url(agent));
const diff = (agent: Agent, path: string) => alice.ok<string>("GET", url(agent, path));
const brief = ({ items }: Changes) =>
  Object.fromEntries(
    items.map(({ path, from, status, additions, deletions, isBinary }) => [
      path,
      `${status} ${isBinary ? "binary" : `+${additions} -${deletions}`}${from === null ? "" : ` from ${from}`}`,
    ]),
  );

describe("a repository", () => {
  test("tells what has changed since its last commit, in git's terms, and each change as a diff", async () => {
    const agent = await make();
    await sh(
      agent,
      `git init -q && printf 'a\\nb\\nc\\n' >kept && seq 20 >old && printf '\\0\\1' >bin && echo x >gone && mkdir d && echo y >d/f && seq 3 >한글.txt &&
      seq 30 >by-hand && touch "new
line" && seq 5 >link && git init -q sub && cd sub && ${git} commit -q --allow-empty -m one && cd .. && echo same >same && ${commit}`,
    );
    expect(await list(agent)).toEqual({ branch: "main", root: "", items: [], isComplete: true, reason: null });
    await sh(
      agent,
      `printf 'a\\nB\\nc\\nd' >kept && git mv old renamed && mv by-hand moved && printf '\\0\\2' >bin && rm -r gone d && echo f >d && echo 넷 >>한글.txt &&
      echo 1 >"new
line" && rm link && ln -s kept link && echo new >added && git add added && echo 1 >untracked && cd sub && ${git} commit -q --allow-empty -m two && cd .. &&
      git init -q nested && mkfifo pipe && touch same && printf x >"$(printf 'bad\\377name')" && echo ignored >.gitignore && echo 1 >ignored`,
    );
    const changes = await list(agent);
    expect(changes).toMatchObject({ branch: "main", root: "", isComplete: true, reason: null });
    expect(brief(changes)).toEqual({
      ".gitignore": "untracked +1 -0",
      added: "added +1 -0",
      "bad\u{fffd}name": "untracked +1 -0",
      bin: "modified binary",
      d: "untracked +1 -0",
      "d/f": "deleted +0 -1",
      gone: "deleted +0 -1",
      kept: "modified +2 -1",
      link: "modified +1 -5",
      moved: "renamed +0 -0 from by-hand",
      "nested/": "untracked +null -null",
      "new\nline": "modified +1 -0",
      renamed: "renamed +0 -0 from old",
      sub: "modified +1 -1",
      untracked: "untracked +1 -0",
      "한글.txt": "modified +1 -0",
    });
    expect(await diff(agent, "kept")).toMatch(
      /^diff --git a\/kept b\/kept\nindex .*\n--- a\/kept\n\+\+\+ b\/kept\n@@ -1,3 \+1,4 @@\n a\n-b\n\+B\n c\n\+d\n\\ No newline at end of file\n$/,
    );
    expect(await diff(agent, "renamed")).toMatch(/similarity index 100%\nrename from old\nrename to renamed\n$/);
    expect(await diff(agent, "moved")).toContain("rename from by-hand\n");
    expect(await diff(agent, "d/f")).toMatch(
      /deleted file mode 100644\n.*\n--- a\/d\/f\n\+\+\+ \/dev\/null\n@@ -1 \+0,0 @@\n-y\n$/,
    );
    expect(await diff(agent, "d")).toMatch(
      /new file mode 100644\n.*\n--- \/dev\/null\n\+\+\+ b\/d\n@@ -0,0 \+1 @@\n\+f\n$/,
    );
    expect(await diff(agent, "한글.txt")).toContain("+++ b/한글.txt\n@@ -1,3 +1,4 @@\n 1\n 2\n 3\n+넷\n");
    expect(await diff(agent, "bin")).toContain("Binary files a/bin and b/bin differ\n");
    expect(await diff(agent, "sub")).toMatch(/\n-Subproject commit \w{40}\n\+Subproject commit \w{40}\n$/);
    expect(await diff(agent, "link")).toContain("\ndeleted file mode 100644\n");
    expect(await diff(agent, "bad\u{fffd}name")).toContain("\n+x\n");
    expect(await diff(agent, "new\nline")).toContain("\n@@ -0,0 +1 @@\n+1\n");
    expect(await diff(agent, "nested/")).toBe("");
    for (const path of ["same", "*"]) expect((await alice.call("GET", url(agent, path))).status).toBe(404);
    const answer = await alice.call("GET", url(agent, "kept"));
    expect(answer.headers.get("content-type")).toBe("text/x-diff; charset=utf-8");
    expect(answer.headers.get("x-content-type-options")).toBe("nosniff");
    await sh(agent, `rm -r nested; ${commit} -a; git checkout -q --detach`);
    expect(await list(agent)).toMatchObject({ branch: null, items: [], isComplete: true });
  });

  test("is looked for from where the agent works up to its own directory; without one, that is the answer", async () => {
    const none = { branch: null, root: null, items: [], isComplete: false, reason: "no_repository" };
    const agent = await make({ directory: "web/app" });
    expect(await list(agent)).toEqual(none);
    // Neither the directory of all agents, nor that of another one.
    await sh(agent, "true");
    expect(await list(agent)).toEqual(none);
    await sh(agent, "cd ~/web && git init -q && echo 1 >app/one && echo 2 >two");
    expect(brief(await list(agent))).toEqual({ "app/one": "untracked +1 -0", two: "untracked +1 -0" });
    expect(await list(agent)).toMatchObject({ branch: "main", root: "web", isComplete: true });
    await sh(
      agent,
      `cd ~/web && ${commit} && git worktree add -q ../tree && cd ../tree && echo more >>two && rm app/one`,
    );
    await alice.ok("PATCH", `/v1/agents/${agent.id}`, { directory: "tree" });
    expect(brief(await list(agent))).toEqual({ "app/one": "deleted +0 -1", two: "modified +1 -0" });
    expect(await list(agent)).toMatchObject({ branch: "tree", root: "tree" });
    await sh(
      agent,
      "ln -s /workspace/shared ~/link && cd /workspace/shared && git init -q --object-format=sha256 deep && echo 1 >deep/f",
    );
    await alice.ok("PATCH", `/v1/agents/${agent.id}`, { directory: "link/deep" });
    expect(await list(agent)).toMatchObject({ root: null, items: [{ path: "f" }] });
    expect(await diff(agent, "f")).toContain("+1\n");
    const other = await make();
    await sh(other, "git init -q");
    await sh(agent, `ln -s ../agent-${other.id} ~/other`);
    await alice.ok("PATCH", `/v1/agents/${agent.id}`, { directory: "other" });
    expect(await list(agent)).toEqual(none);
  });

  test("in the midst of a merge shows what is to be decided", async () => {
    const agent = await make();
    await sh(
      agent,
      `git init -q && seq 9 >f && ${commit} && git checkout -qb other && sed -i s/5/five/ f && ${commit} && git checkout -q main && sed -i s/5/fünf/ f && ${commit}
      ${git} merge -q other >/dev/null || true`,
    );
    expect(brief(await list(agent))).toEqual({ f: "modified +4 -0" });
    expect(await diff(agent, "f")).toContain("+<<<<<<< HEAD\n");
  });

  test("of another user is not there", async () => {
    const agent = await make();
    const bob = await berth.client("bob");
    expect((await bob.call("GET", url(agent))).status).toBe(404);
    expect((await bob.call("GET", url(agent, "f"))).status).toBe(404);
  });
});

describe("a hostile repository", () => {
  test("has nothing of its own executed, and nothing of it is written", async () => {
    const agent = await make();
    const evil = "touch ~/executed; cat; false";
    await sh(
      agent,
      `git init -q && seq 9 >f && seq 9 >g.txt && git init -q sub && cd sub && ${git} commit -q --allow-empty -m one && cd .. && ${commit} &&
      printf '* filter=evil diff=evil\\n' >.gitattributes && echo 10 >>f && touch g.txt && echo 1 >untracked &&
      for where in --local --global "-f sub/.git/config"; do
        for key in core.fsmonitor core.hooksPath core.pager core.editor diff.external diff.evil.textconv diff.evil.command filter.evil.clean \\
          filter.evil.process filter.evil.smudge filter.lfs.clean filter.lfs.process core.sshCommand core.alternateRefsCommand core.gitProxy credential.helper gpg.program pager.diff; do
          git config $where $key '${evil}'
        done
        git config $where alias.diff '!${evil}'; git config $where diff.submodule diff; git config $where filter.evil.required true
      done
      mkdir -p hooks .git/hooks ~/bin ~/.local/bin
      for name in post-index-change fsmonitor-watchman pre-auto-gc reference-transaction; do printf '#!/bin/sh\\n${evil}\\n' >.git/hooks/$name; chmod +x .git/hooks/$name; done
      cp .git/hooks/pre-auto-gc ~/.local/bin/git; find .git sub/.git -type f | sort | xargs stat -c '%n %y %s' >~/before`,
    );
    expect(brief(await list(agent))).toMatchObject({ f: "modified +1 -0", untracked: "untracked +1 -0" });
    expect(await diff(agent, "f")).toContain("\n+10\n");
    expect(
      await sh(
        agent,
        "find .git sub/.git -type f | sort | xargs stat -c '%n %y %s' | diff ~/before -; ls ~/executed 2>&1; ls -d /tmp/tmp.* 2>&1; true",
      ),
    ).toMatch(/^ls: cannot access '\S+executed'.*\nls: cannot access '\/tmp\/tmp\.\*'.*$/);
  });

  test("whose agent meddles with the directory of the call has no hook run, and no process that outlives the call or is without limits", async () => {
    const agent = await make();
    const limit = await sh(
      agent,
      `git init -q && seq 9 >f && ${commit} && echo 10 >>f && echo '* filter=evil' >.gitattributes && mkdir d && echo 1 >d/f && mkfifo .gitignore d/.gitignore && ulimit -u
      printf '#!/bin/sh\\ntouch ~/hooked\\n' >~/hook && printf '#!/bin/sh\\nulimit -p >~/executed; setsid env -i sleep 617 <&- >/dev/null 2>&1 & cat\\n' >~/evil && chmod +x hook evil`,
    );
    // Once git has asked what it shall ignore its directory is there, and it waits for what it shall ignore in `d`.
    const { id } = await alice.send(
      agent.id,
      `: >.gitignore; for work in /tmp/tmp.*; do mkdir -p $work/hooks; cp hook $work/hooks/post-index-change
      git config --file $work/config filter.evil.clean $HOME/evil; git config --file $work/config core.fsmonitor $HOME/hook; done; : >d/.gitignore; exec sleep 600`,
    );
    expect(await list(agent)).toMatchObject({ isComplete: true });
    const left = (await berth.processes(await userIdOf(alice))).map(({ command }) => command);
    expect(left).not.toContain("sleep 617");
    await alice.ok("POST", `/v1/runs/${id}/cancel`);
    expect(await sh(agent, "cat executed; ls hooked 2>&1; true")).toBe(
      `${limit}\nls: cannot access 'hooked': No such file or directory`,
    );
  });

  test("that keeps git waiting has what was found by then; one that is too large has its beginning", async () => {
    const [slow, large, broken] = [await make(), await make(), await make()];
    await sh(slow, "git init -q && echo 1 >a && mkdir b && echo 2 >b/c && mkfifo b/.gitignore");
    await sh(
      large,
      `git init -q && seq 300000 >long && echo 1 >base && git add base && ${git} commit -qm one && mkdir m && cd m && seq 30000 | xargs touch`,
    );
    await sh(broken, `git init -q && seq 9 >f && ${commit} && seq 10 >f && rm -rf .git/objects/?? && touch g`);
    const [late, many, lost] = [list(slow), list(large), list(broken)];
    expect(await many).toMatchObject({ isComplete: false, reason: "too_many" });
    expect((await many).items).toHaveLength(2000);
    expect(await lost).toMatchObject({ isComplete: false, reason: "unreadable" });
    expect(await late).toMatchObject({ isComplete: false, reason: "took_too_long" });
    const text = await diff(large, "long");
    expect(text.length).toBeLessThan(2 ** 20 + 1000);
    expect(text).toMatch(/\n\\ The diff is over 1 MiB: here is its beginning\.\n$/);
    // Git waits for the pipe until somebody writes into it, so that the calls are there at once.
    const statuses: number[] = [];
    const calls = Array.from({ length: 6 }, async () => statuses.push((await alice.call("GET", url(slow))).status));
    await until(() => statuses.length === 2, "two are refused while the others wait");
    const { id } = await alice.send(slow.id, "trap '' PIPE; while :; do echo >b/.gitignore; done");
    await Promise.all(calls);
    await alice.ok("POST", `/v1/runs/${id}/cancel`);
    expect(statuses).toEqual([429, 429, 200, 200, 200, 200]);
  });

  test("whose agent stops what reads it is told so after a while, and read again once it does not", async () => {
    const bob = await berth.client("bob");
    const agent = await bob.createAgent("stopper", { runtime: "shell" });
    await bob.runToEnd(agent.id, "git init -q && mkfifo .gitignore");
    const { id } = await bob.send(agent.id, "while :; do pkill -STOP -x timeout; sleep 0.1; done");
    const answer = await bob.call("GET", url(agent));
    expect([answer.status, answer.body["code"]]).toEqual([503, "host_unavailable"]);
    await bob.ok("POST", `/v1/runs/${id}/cancel`);
    await bob.finish(id);
    await bob.ok("DELETE", `/v1/agents/${agent.id}/files/.gitignore`);
    expect(await bob.ok("GET", url(agent))).toMatchObject({ items: [], isComplete: true });
  });
});
