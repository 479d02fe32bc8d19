/** A transcript that is longer than any browser would draw whole. */

/** A command that writes events into its own run's log, as an agent may: messages, calls and edits. */
export function appendEvents(total: number): string {
  const script = `
import json, os
def block(i):
    if i % 3 == 0: return {"type": "tool_use", "id": f"t{i}", "name": "Bash", "input": {"command": f"echo event {i}"}}
    if i % 3 == 1: return {"type": "text", "text": f"event {i}" if i == 1 else f"event {i}: **bold** and some more words of it, with \`code\`"}
    return {"type": "tool_use", "id": f"t{i}", "name": "Edit", "input": {"file_path": "a.ts", "old_string": f"a\\nb{i}", "new_string": f"a\\nc{i}"}}
with open(f"/run/berth-runs/{os.environ['BERTH_RUN_ID']}/out", "a") as f:
    for i in range(1, ${total} + 1): f.write(json.dumps({"type": "assistant", "message": {"content": [block(i)]}, "parent_tool_use_id": None}) + "\\n")
print("done")`;
  return `echo ${Buffer.from(script).toString("base64")} | base64 -d | python3 -`;
}
