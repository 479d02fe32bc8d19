/**
 * A document for xterm that keeps to the page's Content-Security-Policy: xterm writes `<style>` elements and `style`
 * attributes, which the policy refuses; the same rules as constructed sheets and through the CSSOM are allowed.
 */

export interface PolicyDocument {
  document: Document;
  /** Does what makes elements with the page's own document although it was given this one. */
  within(work: () => void): void;
  /** Takes the sheets away. */
  close(): void;
}

export function createPolicyDocument(): PolicyDocument {
  const sheets: CSSStyleSheet[] = [];
  const make: (tag: string) => HTMLElement = Document.prototype.createElement.bind(document);
  const createElement = (tag: string): HTMLElement => {
    if (tag !== "style") return withStyleByCssom(make(tag));
    const sheet = new CSSStyleSheet();
    sheets.push(sheet);
    document.adoptedStyleSheets.push(sheet);
    const stand = make("span");
    stand.hidden = true;
    const set = (rules: string): void => {
      sheet.replaceSync(rules);
    };
    return Object.defineProperty(stand, "textContent", { set });
  };
  const proxy = new Proxy(document, {
    get(target, key) {
      if (key === "createElement") return createElement;
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === "function" ? (value as (...args: unknown[]) => unknown).bind(target) : value;
    },
    set: (target, key, value) => Reflect.set(target, key, value, target),
  });
  return {
    document: proxy,
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

function withStyleByCssom(element: HTMLElement): HTMLElement {
  const setAttribute = element.setAttribute.bind(element);
  element.setAttribute = (name: string, value: string) => {
    if (name === "style") element.style.cssText = value;
    else setAttribute(name, value);
  };
  return element;
}
