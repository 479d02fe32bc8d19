/** `node bench/scale/plot.ts`: the SVG files of docs/plots from the JSON of docs/figures. Axes are logarithmic: what is flat stays flat. */
import { existsSync, globSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { root } from "../../scripts/setup/image.ts";
import type { Figure } from "../lib/figures.ts";

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

/** Bars of what was measured against its target: all that ends left of the line meets it. */
export function plotTargets(title: string, figures: (Figure & { compared: number })[]): string {
  const rows = figures.filter(({ target, compared }) => target && target.bound > 0 && compared > 0);
  const ratio = ({ target, compared }: (typeof rows)[number]) =>
    target!.from === "below" ? target!.bound / compared : compared / target!.bound;
  const [names, unit, line] = [300, 160, 18];
  const parts = rows.map((row, at) => {
    const value = ratio(row);
    const length = Math.min(value, 2) * unit;
    const y = top + at * line;
    return `<text x="${names - 8}" y="${y + 12}" text-anchor="end">${escape(row.name)}</text><rect x="${names}" y="${y + 2}" width="${length.toFixed(1)}" height="12" fill="${value <= 1 ? colors[2] : colors[1]}"/><text x="${names + length + 4}" y="${y + 12}">${value.toFixed(2)}</text>`;
  });
  const end = top + rows.length * line;
  parts.push(`<path class="axis" d="M${names + unit} ${top - 4}V${end}"/>`);
  return draw(names + 2.4 * unit, end + 16, title, parts);
}

const draw = (w: number, h: number, title: string, parts: string[]) =>
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${w} ${h}" role="img"><title>${escape(title)}</title>${style}
<text x="${w / 2}" y="18" text-anchor="middle" style="font-weight:600">${escape(title)}</text>
${parts.join("\n")}
</svg>
`;

interface Told {
  figures: (Figure & { compared: number })[];
  facts: { workspaces: Record<string, Points>; runs: Record<string, Points> };
}

function main(): void {
  const plots = join(root, "docs/plots");
  mkdirSync(plots, { recursive: true });
  const save = (name: string, text: string) => writeFileSync(join(plots, `${name}.svg`), text);
  for (const file of globSync("docs/figures/*.json", { cwd: root })) {
    const told = JSON.parse(readFileSync(join(root, file), "utf8")) as Record<string, Told>;
    for (const [part, { figures, facts }] of Object.entries(told)) {
      if (figures.some(({ target }) => target))
        save(`${basename(file, ".json")}-${part}-targets`, plotTargets(`${part}: against its targets`, figures));
      if (part !== "growth") continue;
      save("workspaces", plotLines("CPU of a report", "workspaces of the host", "ms of CPU", facts.workspaces));
      save("runs", plotLines("CPU of a call", "runs", "ms of CPU", facts.runs));
    }
  }
}
if (import.meta.main && existsSync(join(root, "docs"))) main();
