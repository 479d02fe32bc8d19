/** What in a tree of files is not as the list of floors says: pure; a sentence for each, with what to do. */
import { posix } from "node:path";
import { rest, type Package } from "./floors.ts";

const maxFiles = 15;
const list = "scripts/check/floors.ts";

interface Place {
  file: string;
  of: Package;
  /** The file below its package's folder. */
  name: string;
  /** `tests` for those, above all rooms; null for a file that stands in none. */
  room: string | null;
  floor: number;
}

/** `imports` has all files of the tree, each with those of the tree that it imports. */
export function findBreaches(house: Package[][], imports: ReadonlyMap<string, string[]>): string[] {
  const files = [...imports.keys()];
  const places = new Map(files.map((file) => [file, placeOf(house, file)]));
  return [
    ...files
      .filter((file) => !places.get(file)?.room)
      .map((file) => `${file} stands in no room: move it into one, or give its room a sentence in ${list}.`),
    ...house.flat().flatMap((each) => findEmptyRooms(each, [...places.values()])),
    ...findFullFolders(files),
    ...[...imports].flatMap(([from, all]) =>
      [...new Set(all)].flatMap((to) => judge(house, places.get(from), places.get(to)) ?? []),
    ),
    ...findCircles(imports).map(
      (circle) => `${circle.join(" → ")} is a circle: move what both need into a file below them.`,
    ),
  ];
}

function placeOf(house: Package[][], file: string): Place | undefined {
  const of = house.flat().find(({ dir, tests }) => [dir, tests].some((folder) => file.startsWith(`${folder}/`)));
  if (!of) return undefined;
  const isTest = !file.startsWith(`${of.dir}/`) || /\.test\.tsx?$/.test(file);
  const name = isTest ? file : file.slice(of.dir.length + 1);
  if (isTest) return { file, of, name, room: "tests", floor: of.floors.length };
  const first = name.split("/")[0]!;
  const floorOf = (room: string) => of.floors.findIndex((rooms) => Object.hasOwn(rooms, room));
  const room = floorOf(first) < 0 && !name.includes("/") ? rest : first;
  return { file, of, name, room: floorOf(room) < 0 ? null : room, floor: floorOf(room) };
}

function findEmptyRooms(of: Package, places: (Place | undefined)[]): string[] {
  const taken = new Set(places.map((place) => (place?.of === of ? place.room : null)));
  return of.floors
    .flatMap((rooms) => Object.keys(rooms))
    .filter((room) => !taken.has(room))
    .map((room) => `${of.dir}/${room} is gone: take its line out of ${list}.`);
}

function findFullFolders(files: string[]): string[] {
  const counted = files.filter((file) => !/\.(test\.tsx?|d\.ts)$/.test(file));
  return [...Map.groupBy(counted, (file) => posix.dirname(file))]
    .filter(([, inside]) => inside.length > maxFiles)
    .map(
      ([dir, { length }]) => `${dir} has ${length} files, ${maxFiles} are the most: give some a folder of their own.`,
    );
}

/** What is wrong with the import, or null. */
function judge(house: Package[][], from?: Place, to?: Place): string | null {
  if (!from?.room || !to?.room) return null;
  const levelOf = (of: Package) => house.findIndex((level) => level.includes(of));
  if (from.of !== to.of && levelOf(from.of) <= levelOf(to.of))
    return `${from.file} imports ${to.file} of a package that is not below its own: move what both need down.`;
  if (to.room === "tests" && from.room !== "tests" && !from.of.isForTests)
    return `${from.file} imports ${to.file}, which is for tests alone: move what it needs to the sources.`;
  if (from.of !== to.of || from.room === to.room || from.floor > to.floor) return null;
  const [one, other] = [`${from.file} (${from.room})`, `${to.name} (${to.room})`];
  return from.floor === to.floor
    ? `${one} looks at its neighbour ${other}: move what both need down, or one of the two up.`
    : `${one} looks up to ${other}: move what it needs down, or itself up.`;
}

/** Circles of imports, each as its files in order and the first again; a file is told of once. */
function findCircles(imports: ReadonlyMap<string, string[]>): string[][] {
  const told = new Set<string>();
  return [...imports.keys()].flatMap((file) => {
    const circle = told.has(file) ? null : findWayBack(file, imports);
    for (const each of circle ?? []) told.add(each);
    return circle ? [circle] : [];
  });
}

/** The shortest way from the file over imports back to itself. */
function findWayBack(start: string, imports: ReadonlyMap<string, string[]>): string[] | null {
  const seen = new Set<string>();
  for (const ways = [[start]]; ways.length > 0;) {
    const way = ways.shift()!;
    for (const next of imports.get(way.at(-1)!) ?? []) {
      if (next === start) return [...way, start];
      if (seen.has(next)) continue;
      seen.add(next);
      ways.push([...way, next]);
    }
  }
  return null;
}
