/** What came in through a trigger and what became of it; each can be taken once more. */
import type { Delivery } from "@berth/shared/webhooks";
import { t } from "../i18n/language.ts";
import { formatBytes } from "../text/format.ts";
import { runs } from "../state/live.ts";
import { Ago } from "../ui/ago.tsx";
import { Badge } from "../ui/badge.tsx";
import { usePages } from "../ui/use-answer.ts";
import { useOnce } from "../ui/use-task.ts";
import { Link } from "../ui/router.tsx";
import { tell, tellRun, type StateWords } from "../text/words.ts";
import { replayDelivery } from "./triggers.ts";
import { Failure, Loading, More } from "../ui/failure.tsx";
import { TableHead } from "../ui/table-head.tsx";

export function Deliveries({ triggerId }: { triggerId: string }) {
  const words = t().triggers;
  const { items, failure, reload, loadMore } = usePages<Delivery>(`/v1/triggers/${triggerId}/deliveries?limit=25`);
  if (failure) return <Failure error={failure} />;
  if (!items) return <Loading />;
  if (items.length === 0) return <p class="muted">{words.noDeliveries}</p>;
  return (
    <>
      <table class="list">
        <TableHead names={[words.state, words.cameIn, words.senderId]} numbers={[words.size]} hasActions />
        <tbody>
          {items.map((item) => (
            <DeliveryRow key={item.id} item={item} reload={reload} />
          ))}
        </tbody>
      </table>
      {loadMore && <More load={loadMore}>{words.older}</More>}
    </>
  );
}

function DeliveryRow({ item, reload }: { item: Delivery; reload: () => Promise<void> }) {
  const words = t().triggers;
  const replay = useOnce((key) => replayDelivery(item.id, key).then(reload));
  return (
    <tr>
      <td>
        <Badge told={tellDelivery(item)} />
        {item.detail && (
          <p class="muted" lang="en">
            {item.detail}
          </p>
        )}
      </td>
      <td data-label={words.cameIn}>
        <Ago time={item.receivedAt} />
        {item.replayOf && <span class="tag">{words.replayed}</span>}
      </td>
      <td class="muted" data-label={words.senderId}>
        {(item.replayOf === null && item.externalId?.slice(0, 40)) || t().common.none}
      </td>
      <td class="number">{formatBytes(item.bytes)}</td>
      <td class="number">
        {item.runId && <Link href={`/runs/${item.runId}`}>{words.run}</Link>}{" "}
        <button type="button" class="quiet" onClick={() => void replay.run()} disabled={replay.isBusy}>
          {words.replay}
        </button>
        <Failure error={replay.failure} />
      </td>
    </tr>
  );
}

/** As live as the page knows the run, else as the delivery was told. */
function tellDelivery({ runId, status }: Delivery): StateWords {
  const run = runId === null ? undefined : runs.value.get(runId);
  if (run) return tellRun(run);
  const { states } = t();
  const short = status === "skipped" || status === "rejected" ? states.deliveries[status] : states.runs[status];
  return tell(tones[status], [short, ""]);
}

const tones: Record<Delivery["status"], StateWords["tone"]> = {
  pending: "idle",
  starting: "busy",
  running: "busy",
  completed: "good",
  failed: "bad",
  cancelled: "idle",
  skipped: "idle",
  rejected: "bad",
};
