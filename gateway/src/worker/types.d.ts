/** The one module of the runtime that we load. */
declare module "cloudflare:workers" {
  /** Keeps the call (or cron event) that this is said in alive until the work is done, at most 30 s after its answer. */
  export function waitUntil(work: Promise<unknown>): void;
}
