/**
 * Lets xterm draw under the page's Content-Security-Policy: it writes `<style>` elements and `style` attributes, which the
 * policy refuses; the same rules as constructed sheets and through the CSSOM are allowed.
 */

interface StyleKeeper {
  /** Does the work; `<style>` elements that it makes become sheets of the document. */
  within(work: () => void): void;
  /** Takes the sheets away. */
  close(): void;
}

export function createStyleKeeper(): StyleKeeper {
  const sheets: CSSStyleSheet[] = [];
  const createElement = (tag: string): HTMLElement => {
    if (tag !== "style") return Document.prototype.createElement.call(document, tag);
    const sheet = new CSSStyleSheet();
    sheets.push(sheet);
    document.adoptedStyleSheets.push(sheet);
    return standInFor(sheet);
  };
  allowStyleOfSpans();
  return {
    within(work) {
      Object.defineProperty(document, "createElement", { value: createElement, configurable: true });
      try {
        work();
      } finally {
        Reflect.deleteProperty(document, "createElement");
      }
    },
    close() {
      document.adoptedStyleSheets = document.adoptedStyleSheets.filter((sheet) => !sheets.includes(sheet));
    },
  };
}

/** An element whose text goes into the sheet. */
function standInFor(sheet: CSSStyleSheet): HTMLElement {
  const element = Document.prototype.createElement.call(document, "span");
  element.hidden = true;
  const set = (rules: string): void => {
    sheet.replaceSync(rules);
  };
  return Object.defineProperty(element, "textContent", { set });
}

/** Characters with a colour of their own are spans with a `style` attribute. */
function allowStyleOfSpans(): void {
  HTMLSpanElement.prototype.setAttribute = function setAttribute(
    this: HTMLSpanElement,
    name: string,
    value: string,
  ): void {
    if (name === "style") this.style.cssText = value;
    else Element.prototype.setAttribute.call(this, name, value);
  };
}
