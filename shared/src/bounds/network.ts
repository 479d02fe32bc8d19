/** Addresses of peers, and what counts as one of them. */

/** What is counted as one client: an IPv4 address, or the 64 bits of an IPv6 network. */
export function networkOf(client: string): string {
  if (!client.includes(":")) return client;
  const [head = "", tail = ""] = client.split("::");
  const left = head.split(":").filter(Boolean);
  const right = tail.split(":").filter(Boolean);
  const zeros = client.includes("::") ? Array<string>(Math.max(0, 8 - left.length - right.length)).fill("0") : [];
  const groups = [...left, ...zeros, ...right].slice(0, 4);
  return `${groups.map((group) => group.toLowerCase().replace(/^0+(?=.)/, "")).join(":")}::/64`;
}

/** An IPv4 address that arrived on an IPv6 socket is written as IPv4; the port that some proxies add is left out. */
export function plainAddress(text: string): string {
  return text.replace(/^::ffff:(?=\d+\.)/i, "").replace(/^([\d.]+):\d+$/, "$1");
}
