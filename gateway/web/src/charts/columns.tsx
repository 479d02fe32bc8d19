/** A small chart: a column for each time, as high as it was much. What it shows is in its label too, for who cannot see it. */
import "../style/few.css";

interface Column {
  /** What it says on its own. */
  title: string;
  /** Of the chart's height; null where nothing is known, which is hatched. */
  part: number | null;
}

export function Columns({ label, columns }: { label: string; columns: Column[] }) {
  return (
    <div class="columns" role="img" aria-label={label}>
      {columns.map(({ title, part }, at) => (
        <span key={at} class="place" title={title}>
          <span
            class={part === null ? "column unknown" : part === 0 ? "column none" : "column"}
            style={{ height: `${(part ?? 1) * 100}%` }}
          />
        </span>
      ))}
    </div>
  );
}
