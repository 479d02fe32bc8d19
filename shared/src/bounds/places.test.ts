import { expect, test } from "vitest";
import { createPlaces } from "./places.ts";

test("one user never has more places than are free, and gives back what it had", () => {
  const places = createPlaces(100);
  const takeAll = (userId: string) => {
    const given: (() => void)[] = [];
    for (let give = places.take(userId); give; give = places.take(userId)) given.push(give);
    return given;
  };
  const first = takeAll("a");
  const others = ["b", "c", "d", "e"].map((userId) => takeAll(userId).length);
  expect([first.length, ...others]).toEqual([50, 25, 13, 6, 3]);
  expect(places.take("a")).toBeNull();
  first.forEach((give) => give());
  expect(takeAll("f").length).toBe(27);
});

test("nobody has more than the most of one, however many are free", () => {
  const places = createPlaces(Infinity, 2);
  const give = places.take("a");
  places.take("a");
  expect(places.take("a")).toBeNull();
  expect(places.take("b")).not.toBeNull();
  give!();
  expect(places.take("a")).not.toBeNull();
});
