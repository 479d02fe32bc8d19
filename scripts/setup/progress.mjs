/**
 * What set-up says while it works, on standard error: one line that updates itself on a terminal, plain lines otherwise.
 * Plain JavaScript, because set-up needs it before anything is installed.
 */

const tickMs = 200;
const plainEveryMs = 10_000;

/**
 * Starts a step; `update` gives the latest detail, `done` or `fail` ends it with the seconds it took.
 * @param {string} title
 * @param {{write(text: string): unknown, isTTY?: boolean}} [to]
 */
export function startStep(title, to = process.stderr) {
  const startedAt = performance.now();
  let detail = "";
  let shownAt = startedAt;
  const seconds = () => `${((performance.now() - startedAt) / 1000).toFixed(1)} s`;
  const show = () => {
    const width = /** @type {NodeJS.WriteStream} */ (to).columns ?? 100;
    if (to.isTTY) to.write(`\r\x1b[K${`… ${title} (${seconds()}) ${detail}`.slice(0, width - 1)}`);
    else if (performance.now() - shownAt > plainEveryMs) {
      shownAt = performance.now();
      to.write(`… ${title} (${seconds()})${detail && ` ${detail}`}\n`);
    }
  };
  if (!to.isTTY) to.write(`… ${title}\n`);
  const timer = setInterval(show, tickMs);
  timer.unref();
  /** @param {string} mark @param {string} note */
  const end = (mark, note) => {
    clearInterval(timer);
    to.write(`${to.isTTY ? "\r\x1b[K" : ""}${mark} ${title} (${seconds()})${note && ` ${note}`}\n`);
  };
  return {
    /** @param {string} text */
    update: (text) => {
      detail = text.replace(/\s+/g, " ").trim();
    },
    done: (note = "") => end("✓", note),
    fail: (note = "") => end("✗", note),
  };
}
