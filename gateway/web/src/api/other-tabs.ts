/** Other tabs of this browser: told that something changed, they look for themselves. */

/** `onTold` runs when another tab told on the channel of this name. */
export function createOtherTabs(name: string, onTold: () => void): { tell: () => void } {
  const channel = new BroadcastChannel(name);
  channel.addEventListener("message", onTold);
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a channel reaches this origin alone
  return { tell: () => channel.postMessage(null) };
}
