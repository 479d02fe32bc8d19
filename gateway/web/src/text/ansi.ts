/** Colours that programs print (SGR codes of terminals), as classes: 16 colours, bold, underline. Of more colours there are none here. Pure. */

/** A piece of text as it came, and the classes that it is shown with; none is plain. */
export type Printed = [text: string, classes: string];

// oxlint-disable-next-line no-control-regex -- this is what is looked for
const colourCode = /\u001b\[([\d;:]*)m/;

interface Style {
  colour: number | null;
  isBold: boolean;
  isUnderlined: boolean;
}
const plain: Style = { colour: null, isBold: false, isUnderlined: false };

/** The text in pieces of one style each, without the codes that change it. */
export function splitPrinted(text: string): Printed[] {
  // Texts at even places, codes at odd ones.
  const parts = text.split(colourCode);
  let style = plain;
  return parts.flatMap((part, at): Printed[] => {
    if (at % 2 === 1) style = changed(style, part);
    return at % 2 === 1 || part === "" ? [] : [[part, classesOf(style)]];
  });
}

function changed(style: Style, codes: string): Style {
  const numbers = codes.split(/[;:]/, 32).map(Number);
  let next = style;
  for (let at = 0; at < numbers.length; at++) {
    const code = numbers[at]!;
    // 256 colours and true ones have numbers of their own behind them.
    if (code === 38 || code === 48) at += numbers[at + 1] === 5 ? 2 : 4;
    else next = apply(next, code);
  }
  return next;
}

function apply(style: Style, code: number): Style {
  if (code === 0) return plain;
  if (code === 1) return { ...style, isBold: true };
  if (code === 22) return { ...style, isBold: false };
  if (code === 4 || code === 24) return { ...style, isUnderlined: code === 4 };
  if (code === 39) return { ...style, colour: null };
  if (code >= 30 && code <= 37) return { ...style, colour: code - 30 };
  return code >= 90 && code <= 97 ? { ...style, colour: code - 90 } : style;
}

function classesOf({ colour, isBold, isUnderlined }: Style): string {
  // Black and white are the text's own colour: on one of the two themes nobody could read them.
  const ofColour = colour === null || colour === 0 || colour === 7 ? "" : `ansi-${colour}`;
  return [ofColour, isBold ? "ansi-bold" : "", isUnderlined ? "ansi-underlined" : ""].filter(Boolean).join(" ");
}
