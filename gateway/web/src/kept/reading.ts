/**
 * What a person reads in a box that scrolls stays where it is, to the pixel, whatever is drawn, measured or replaced above it, in the
 * box or over it. It stands in for the browser's scroll anchoring, which Safari lacks, and which lets go where the style of what is read changes too.
 */

/** What stands at the upper edge, innermost first, and where in the window each begins. */
type Read = { element: Element; at: number }[];

/** Who scrolls further in a frame reads something else. */
const leapPx = 2000;
/** A line: nobody reads what of a text is less than that. */
const sliverPx = 20;

/** Follows what is read of the children of `list`, which stand below each other in `box`. */
export function createReading(box: HTMLElement, list: () => Element | null) {
  let read: Read = [];
  let top = box.scrollTop;
  /** Takes what stands at the upper edge now as what is read. */
  const note = () => {
    read = findRead(list(), topOf(box) + sliverPx);
    top = box.scrollTop;
  };
  return {
    note,
    /** Puts back what has moved by anything but scrolling. */
    settle(): void {
      const scrolled = box.scrollTop - top;
      const one = read.find(({ element }) => element.isConnected);
      if (one && Math.abs(scrolled) < leapPx) {
        const moved = topOf(one.element) - one.at + scrolled;
        if (Math.abs(moved) >= 1) box.scrollTop += moved;
      }
      note();
    },
  };
}

const topOf = (element: Element) => element.getBoundingClientRect().top;

/** The index of the first of these that ends below the edge; they stand below each other. */
export function firstBelow(all: HTMLCollection, edge: number): number {
  let [from, to] = [0, all.length];
  while (from < to) {
    const middle = (from + to) >> 1;
    if (all[middle]!.getBoundingClientRect().bottom > edge) to = middle;
    else from = middle + 1;
  }
  return from;
}

function findRead(list: Element | null, edge: number): Read {
  const read: Read = [];
  let next = list?.children[firstBelow(list.children, edge)];
  while (next) {
    const at = topOf(next);
    read.unshift({ element: next, at });
    // Of a group the first may be another a moment later.
    if (at >= edge && !next.classList.contains("group")) break;
    next = [...next.children].find((child) => child.getBoundingClientRect().bottom > edge);
  }
  return read;
}
