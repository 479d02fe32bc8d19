/** `node bench/lib/plot.ts`: the SVG files of docs/plots from the JSON of docs/figures. Axes are logarithmic: what is flat stays flat. */
import { globSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../../scripts/setup/image.ts";
import type { Figure } from "./figures.ts";

type Points = [number, number][];
const [width, height, left, right, top, bottom] = [640, 360, 70, 190, 36, 44];
const colors = ["#2a78d6", "#c2572b", "#3c8f4e", "#8a5fc0", "#b0891c", "#4a9aa8"];
/** Text and lines in the colour of the page, dark or light. */
const style = `<style>svg{color:#1b1f24}@media(prefers-color-scheme:dark){svg{color:#e6edf3}}text{fill:currentColor;font:12px sans-serif}
.axis,.grid{stroke:currentColor;fill:none}.grid{opacity:.15}</style>`;

const escape = (text: string) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
const decades = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, at) => 10 ** (from + at));
const short = (value: number) =>
  value >= 1e6 ? `${value / 1e6} M` : value >= 1000 ? `${value / 1000} k` : String(value);

/** Lines over the same axes, each with its name at its end. */
export function plotLines(title: string, x: string, y: string, series: Record<string, Points>): string {
  const all = Object.values(series).flat();
  const range = (values: number[]) =>
    [Math.floor(Math.log10(Math.min(...values))), Math.ceil(Math.log10(Math.max(...values)))] as const;
  const [[x0, x1], [y0, y1]] = [range(all.map(([at]) => at)), range(all.map(([, value]) => value))];
  const placeX = (value: number) => left + ((Math.log10(value) - x0) / Math.max(1, x1 - x0)) * (width - left - right);
  const placeY = (value: number) =>
    height - bottom - ((Math.log10(value) - y0) / Math.max(1, y1 - y0)) * (height - top - bottom);
  const ends = Object.entries(series).map(([name, points], at) => ({ name, at, y: placeY(points.at(-1)![1]) }));
  // Names keep their distance.
  ends.sort((a, b) => a.y - b.y).reduce((last, end) => (end.y = Math.max(end.y, last + 14)), -Infinity);
  const parts = [
    ...decades(x0, x1).map(
      (at) =>
        `<path class="grid" d="M${placeX(at)} ${top}V${height - bottom}"/><text x="${placeX(at)}" y="${height - bottom + 16}" text-anchor="middle">${short(at)}</text>`,
    ),
    ...decades(y0, y1).map(
      (at) =>
        `<path class="grid" d="M${left} ${placeY(at)}H${width - right}"/><text x="${left - 6}" y="${placeY(at) + 4}" text-anchor="end">${short(at)}</text>`,
    ),
    `<path class="axis" d="M${left} ${top}V${height - bottom}H${width - right}"/>`,
    `<text x="${(left + width - right) / 2}" y="${height - 8}" text-anchor="middle">${escape(x)}</text>`,
    `<text x="14" y="${(top + height - bottom) / 2}" text-anchor="middle" transform="rotate(-90 14 ${(top + height - bottom) / 2})">${escape(y)}</text>`,
    ...Object.values(series).map(
      (points, at) =>
        `<polyline fill="none" stroke="${colors[at % colors.length]}" stroke-width="2" points="${points.map(([px, py]) => `${placeX(px).toFixed(1)},${placeY(py).toFixed(1)}`).join(" ")}"/>`,
    ),
    ...ends.map(
      ({ name, at, y: endY }) =>
        `<text x="${width - right + 8}" y="${(endY + 4).toFixed(1)}" style="fill:${colors[at % colors.length]}">${escape(name)}</text>`,
    ),
  ];
  return draw(width, height, title, parts);
}

/** How much of its target each takes now and took before: a bar that ends left of the line meets it. */
export function plotTargets(title: string, rows: { name: string; shares: number[] }[]): string {
  const [names, unit, line, longest] = [330, 120, 15, 3];
  let y = top;
  const parts: string[] = [];
  for (const { name, shares } of rows) {
    parts.push(`<text x="${names - 8}" y="${y + 12}" text-anchor="end">${escape(name)}</text>`);
    for (const [at, share] of shares.entries()) {
      const length = Math.min(share, longest) * unit;
      const fill = at > 0 ? "#8a8f98" : share <= 1 ? colors[2] : colors[1];
      parts.push(
        `<rect x="${names}" y="${y + 2}" width="${length.toFixed(1)}" height="11" fill="${fill}"/><text x="${(names + length + 4).toFixed(1)}" y="${y + 12}">${share.toFixed(2)}</text>`,
      );
      y += line;
    }
    y += 4;
  }
  parts.push(`<path class="axis" d="M${names + unit} ${top - 4}V${y}"/>`);
  return draw(names + (longest + 0.5) * unit, y + 12, title, parts);
}

const shareOf = (value: number, { bound, from }: NonNullable<Figure["target"]>) =>
  from === "below" ? bound / value : value / bound;

const draw = (w: number, h: number, title: string, parts: string[]) =>
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${w} ${h}" role="img"><title>${escape(title)}</title>${style}
<text x="${w / 2}" y="18" text-anchor="middle" style="font-weight:600">${escape(title)}</text>
${parts.join("\n")}
</svg>
`;

type Compared = Figure & { compared: number };
/** What a part of `npm run scale` writes. */
interface Told {
  figures: Compared[];
  facts: { workspaces: Record<string, Points>; runs: Record<string, Points>; growth: Record<string, Points> };
}
/** `before-after.json`: what is held against the target (a ratio, a difference, the value itself), before and now. */
interface Changed {
  name: string;
  before?: number;
  now: number;
  target: NonNullable<Figure["target"]>;
}

const figures = join(root, "docs/figures");
const read = (name: string) => readFileSync(join(figures, name), "utf8");
function save(name: string, text: string): void {
  const plots = join(root, "docs/plots");
  mkdirSync(plots, { recursive: true });
  writeFileSync(join(plots, `${name}.svg`), text);
}

function plotPart(part: string, { figures, facts }: Told): void {
  const rows = figures.flatMap(({ name, target, compared }) =>
    target && target.bound > 0 && compared > 0 ? [{ name, shares: [shareOf(compared, target)] }] : [],
  );
  if (rows.length > 0) save(`${part}-targets`, plotTargets(`${part}: share of its target`, rows));
  if (part === "growth") {
    save("workspaces", plotLines("CPU of a report", "workspaces of the host", "ms of CPU", facts.workspaces));
    save("runs", plotLines("CPU of a call", "runs", "ms of CPU", facts.runs));
  }
  const logs = figures.filter(({ name }) => name.startsWith("log of"));
  if (logs.length > 0) plotLogs(logs);
  if (part === "sockets") save("sockets", plotLines("The gateway with open sockets", "sockets", "", facts.growth));
}

/** Of `npm run bench -- long-log --write=docs/figures/logs.json`. */
function plotLogs(logs: Compared[]): void {
  const points = (value: (row: Compared) => number): Points =>
    logs.map((row) => [Number(/\d+/.exec(row.name)![0]), value(row)]);
  const series = { "as events": points(({ ours }) => ours), "bare file": points(({ bare }) => bare!) };
  save("logs", plotLines("A log read from its begin", "bytes", "MB/s", series));
}

function main(): void {
  for (const file of globSync("!(before-after).json", { cwd: figures }))
    for (const [part, told] of Object.entries(JSON.parse(read(file)) as Record<string, Told>)) plotPart(part, told);
  const rows = (JSON.parse(read("before-after.json")) as Changed[]).map(({ name, before, now, target }) => ({
    name,
    shares: [now, ...(before === undefined ? [] : [before])].map((value) => shareOf(value, target)),
  }));
  save("before-after", plotTargets("Share of its target, now and before", rows));
}
if (import.meta.main) main();
