/** The few pictures. */
import type { ComponentChildren } from "preact";

const icon = (path: ComponentChildren) => () => (
  <svg
    class="icon"
    viewBox="0 0 16 16"
    width="16"
    height="16"
    aria-hidden="true"
    fill="none"
    stroke="currentColor"
    stroke-width="1.6"
    stroke-linecap="round"
    stroke-linejoin="round"
  >
    {path}
  </svg>
);

/** The load line that is painted on a ship's side. */
export const Brand = () => (
  <svg
    class="brand-mark"
    viewBox="0 0 32 32"
    width="20"
    height="20"
    aria-hidden="true"
    fill="none"
    stroke="currentColor"
    stroke-width="3.4"
    stroke-linecap="round"
  >
    <circle cx="16" cy="16" r="9.5" />
    <path d="M2 16h28" />
  </svg>
);
export const MenuIcon = icon(<path d="M2.5 4.5h11M2.5 8h11M2.5 11.5h11" />);
export const AttachIcon = icon(
  <path d="M13 7.5 7.6 12.9a3 3 0 0 1-4.3-4.3l5.6-5.5a2 2 0 0 1 2.9 2.8l-5.5 5.5a1 1 0 0 1-1.5-1.4L9.7 5" />,
);
export const PlusIcon = icon(<path d="M8 3v10M3 8h10" />);
export const StopIcon = icon(<rect x="4" y="4" width="8" height="8" rx="1.5" fill="currentColor" />);
export const SendIcon = icon(<path d="M8 13V3.5M4 7l4-4 4 4" />);
export const DownIcon = icon(<path d="M8 3v9.5M4 9l4 4 4-4" />);
