/** What runs have cost: by day, by agent, for admins by user; and what is left of today's budget. */
import type { AllUse, Me, Use } from "@berth/shared/users";
import { get } from "../api/api.ts";
import { Columns } from "../charts/columns.tsx";
import { language, t } from "../i18n/language.ts";
import { loadUserNames } from "../state/users.ts";
import { formatCost, formatCount } from "../text/format.ts";
import { Failure } from "../ui/failure.tsx";
import { Meter } from "../ui/meter.tsx";
import { TableHead } from "../ui/table-head.tsx";
import { useAnswer } from "../ui/use-answer.ts";

export function UsePage({ me }: { me: Me }) {
  const words = t().use;
  const { found: use, failure } = useAnswer<Use>(() => get("/v1/use"));
  return (
    <section class="page scroller use" tabIndex={0} aria-label={words.title}>
      <h1>{words.title}</h1>
      <Failure error={failure} />
      {use && (
        <>
          <Budget {...use.budget} />
          <Days label={words.days} since={use.since} days={use.days} />
          <Sums
            what={words.agent}
            rows={use.agents.map(({ name, ...sums }) => ({ name: name ?? t().lists.deleted, ...sums }))}
          />
        </>
      )}
      {me.role === "admin" && <Everybody />}
    </section>
  );
}

function Budget({ dailyUsd, leftTodayUsd, runUsd }: Use["budget"]) {
  const words = t().use;
  if (dailyUsd === null || leftTodayUsd === null)
    return <p class="muted">{runUsd === null ? words.noBudget : words.ofRun(formatCost(runUsd))}</p>;
  const left = words.left(formatCost(leftTodayUsd), formatCost(dailyUsd));
  return (
    <p>
      <Meter label={words.budget} words={left} used={dailyUsd - leftTodayUsd} limit={dailyUsd} mark={dailyUsd * 0.8} />{" "}
      {left}
      {runUsd !== null && ` ${words.ofRun(formatCost(runUsd))}`}
    </p>
  );
}

function Everybody() {
  const words = t().use;
  const { found: answer, failure } = useAnswer(async () =>
    Promise.all([get<AllUse>("/v1/admin/use"), loadUserNames()]),
  );
  if (!answer) return <Failure error={failure} />;
  const [use, names] = answer;
  return (
    <>
      <h2>{words.everybody}</h2>
      <Days label={words.daysOfAll} since={use.since} days={use.days} />
      <Sums
        what={words.user}
        rows={use.users.map(({ userId, ...sums }) => ({ name: names.get(userId) ?? t().lists.deleted, ...sums }))}
      />
    </>
  );
}

/** A column for each day, as high as it cost; under it the same to read, for those days on which something was sent. */
function Days({ label, since, days }: { label: string; since: string; days: Use["days"] }) {
  const words = t().use;
  const byDay = new Map(days.map((one) => [one.day, one]));
  const all: string[] = [];
  for (let at = Date.parse(since); at <= Date.now(); at += 86_400_000)
    all.push(new Date(at).toISOString().slice(0, 10));
  const most = Math.max(...days.map(({ costUsd }) => costUsd), 0);
  const total = days.reduce((sum, { costUsd }) => sum + costUsd, 0);
  const summary = words.inDays(formatCost(total), all.length, formatCost(most));
  return (
    <figure>
      <figcaption>
        {label}: {summary}
      </figcaption>
      <Columns
        label={`${label}: ${summary}`}
        columns={all.map((day) => {
          const { costUsd = 0, runs = 0 } = byDay.get(day) ?? {};
          const title = `${formatDay(day)}: ${formatCost(costUsd)}, ${t().agents.runs(runs)}`;
          return { title, part: runs === 0 ? 0 : Math.max(0.01, costUsd / (most || 1)) };
        })}
      />
      <details>
        <summary>{words.asTable}</summary>
        <Sums
          what={words.day}
          rows={days.toReversed().map(({ day, ...sums }) => ({ name: formatDay(day), ...sums }))}
        />
      </details>
    </figure>
  );
}

function Sums({
  what,
  rows,
}: {
  what: string;
  rows: { name: string; runs: number; tokens: number; costUsd: number }[];
}) {
  const words = t().use;
  if (rows.length === 0) return <p class="muted">{words.none}</p>;
  return (
    <table class="list">
      <TableHead names={[what]} numbers={[words.runs, words.tokens, words.cost]} />
      <tbody>
        {rows.map(({ name, runs, tokens, costUsd }, at) => (
          <tr key={at}>
            <td class="name">{name}</td>
            <td class="number" data-label={words.runs}>
              {formatCount(runs)}
            </td>
            <td class="number" data-label={words.tokens}>
              {formatCount(tokens)}
            </td>
            <td class="number">{formatCost(costUsd)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** A day as the API has it, which is of UTC wherever it is read. */
const formatDay = (day: string) =>
  new Intl.DateTimeFormat(language(), { dateStyle: "medium", timeZone: "UTC" }).format(Date.parse(day));
