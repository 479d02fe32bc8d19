/** What came in through a trigger and what became of it; each can be taken once more. */
import type { Delivery } from "@berth/shared/webhooks";
import { formatBytes } from "../text/format.ts";
import { runs } from "../state/live.ts";
import { Ago } from "../ui/ago.tsx";
import { Badge } from "../ui/badge.tsx";
import { usePages } from "../ui/use-pages.ts";
import { useTask } from "../ui/use-task.ts";
import { Link } from "../ui/router.tsx";
import { tellRun, type StateWords } from "../text/words.ts";
import { replayDelivery } from "./triggers.ts";
import { Failure } from "../ui/failure.tsx";
import { TableHead } from "../ui/table-head.tsx";

export function Deliveries({ triggerId }: { triggerId: string }) {
  const { items, failure, reload, loadMore } = usePages<Delivery>(`/v1/triggers/${triggerId}/deliveries?limit=25`);
  if (failure) return <Failure words={failure} />;
  if (!items)
    return (
      <p class="muted" role="status">
        Loading …
      </p>
    );
  if (items.length === 0)
    return (
      <p class="muted">
        Nothing came in yet. Let the sender send a test; what it gets as an answer tells what is wrong.
      </p>
    );
  return (
    <>
      <table class="list">
        <TableHead names={["State", "Came in", "Sender's id"]} numbers={["Size"]} hasActions />
        <tbody>
          {items.map((item) => (
            <DeliveryRow key={item.id} item={item} reload={reload} />
          ))}
        </tbody>
      </table>
      {loadMore && (
        <p>
          <button type="button" onClick={() => void loadMore()}>
            Older deliveries
          </button>
        </p>
      )}
    </>
  );
}

function DeliveryRow({ item, reload }: { item: Delivery; reload: () => Promise<void> }) {
  const replay = useTask(async () => {
    await replayDelivery(item.id);
    await reload();
  });
  return (
    <tr>
      <td>
        <Badge told={tellDelivery(item)} />
        {item.detail && <p class="muted">{item.detail}</p>}
      </td>
      <td data-label="came in">
        <Ago time={item.receivedAt} />
        {item.replayOf && <span class="tag">once more</span>}
      </td>
      <td class="muted" data-label="sender's id">
        {item.externalId?.slice(0, 40) ?? "none"}
      </td>
      <td class="number">{formatBytes(item.bytes)}</td>
      <td class="number">
        {item.runId && <Link href={`/runs/${item.runId}`}>Run</Link>}{" "}
        <button type="button" class="quiet" onClick={() => void replay.run()} disabled={replay.isBusy}>
          Once more
        </button>
        <Failure words={replay.failure} />
      </td>
    </tr>
  );
}

/** As live as the page knows the run, else as the delivery was told. */
function tellDelivery({ runId, status }: Delivery): StateWords {
  const run = runId === null ? undefined : runs.value.get(runId);
  if (run) return tellRun(run);
  if (status === "skipped") return { tone: "idle", short: "Skipped", advice: "" };
  if (status === "rejected" || status === "failed")
    return { tone: "bad", short: status === "failed" ? "Failed" : "Rejected", advice: "" };
  if (status === "completed") return { tone: "good", short: "Finished", advice: "" };
  if (status === "cancelled") return { tone: "idle", short: "Stopped", advice: "" };
  return {
    tone: status === "pending" ? "idle" : "busy",
    short: status === "pending" ? "Waiting" : "Running",
    advice: "",
  };
}
