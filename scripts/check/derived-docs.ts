/** Pages of which a part says again what another file says: `npm run fix` writes them, and a test holds them against it. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { house, rest } from "./floors.ts";

export const root = join(import.meta.dirname, "../..");
const read = (path: string) => readFileSync(join(root, path), "utf8");

/** Each page by its path, as it has to be. */
export const deriveDocs = (): Record<string, string> => ({
  "docs/settings.md": withSettings(read("docs/settings.md"), read(".env.example")),
  "docs/ARCHITECTURE.md": withRooms(read("docs/ARCHITECTURE.md")),
  "CONTRIBUTING.md": withPicture(read("CONTRIBUTING.md")),
});

/** What stands before the first heading is the page's own; all below it are the sections of the example, a row for names with the same words. */
function withSettings(page: string, example: string): string {
  const [, ...sections] = example.split(/^# --- (.*) ---$/m);
  const parts = sections.flatMap((title, at) => (at % 2 === 0 ? [settingsSection(title, sections[at + 1]!)] : []));
  return `${[page.split("\n## ")[0]!.trimEnd(), ...parts].join("\n\n")}\n`;
}

function settingsSection(title: string, lines: string): string {
  const blocks = lines.matchAll(/((?:^# (?![A-Z_]+=).*\n)+)((?:^# [A-Z_]+=.*\n?)+)/gm);
  const rows = [...blocks].map(([, words = "", settings = ""]) => {
    const named = [...settings.matchAll(/^# ([A-Z_]+)=(.*)$/gm)];
    const values = named.flatMap(([, , value]) => (value ? [`\`${value}\``] : []));
    const text = words.trimEnd().replaceAll(/^# /gm, "").replaceAll("\n", " ");
    return `| ${named.map(([, name]) => `\`${name}\``).join(", ")} | ${values.join(", ")} | ${text} |`;
  });
  return `## ${title}\n\n| setting | at first | |\n|---|---|---|\n${rows.join("\n")}`;
}

function withRooms(page: string): string {
  const rows = house
    .flat()
    .flatMap(({ dir, floors }) =>
      floors.flatMap((rooms) =>
        Object.entries(rooms).map(([room, words]) => `| \`${room === rest ? dir : `${dir}/${room}`}\` | ${words} |`),
      ),
    );
  const table = ["| room | what it is |", "|---|---|", ...rows].join("\n");
  return withPart(page, "rooms", table);
}

/** The packages from the top to the bottom, each with its rooms from the bottom to the top. */
function withPicture(page: string): string {
  const lines = house.flatMap((packages, at) =>
    packages.map(({ dir, floors }) => {
      const rooms = floors.map((floor) => Object.keys(floor).map(nameOf).join(", ")).join(" ← ");
      return `${at + 1} ${dir.replace(/\/src$/, "").padEnd(12)}${rooms}`;
    }),
  );
  return withPart(page, "floors", ["```", ...lines.toReversed(), "```"].join("\n"));
}

const nameOf = (room: string) => (room === rest ? "its own files" : room.replace(/\.tsx?$/, ""));

const withPart = (page: string, name: string, part: string) =>
  page.replace(new RegExp(`(?<=<!-- ${name} -->\n)[^]*?(?=<!-- /${name} -->)`), () => `${part}\n`);
