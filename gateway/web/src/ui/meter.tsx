/** How much of something is used, with a mark where it becomes much: the load line of a ship. */

interface MeterProps {
  label: string;
  /** What a screen reader says instead of a percentage. */
  words: string;
  used: number;
  limit: number;
  mark?: number;
}

export function Meter({ label, words, used, limit, mark }: MeterProps) {
  const part = (value: number) => `${limit > 0 ? Math.min(100, Math.max(0, (value / limit) * 100)) : 0}%`;
  const level = mark !== undefined && used >= mark ? "high" : "";
  return (
    <span
      class={`meter ${level}`}
      role="meter"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={limit}
      aria-valuenow={Math.min(used, limit)}
      aria-valuetext={words}
    >
      <span class="fill" style={{ width: part(used) }} />
      {mark !== undefined && <span class="mark" style={{ left: part(mark) }} />}
    </span>
  );
}
