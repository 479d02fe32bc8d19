/** Colours of the terminal. */
import type { ITheme } from "@xterm/xterm";

const dark: ITheme = {
  background: "#0d1214",
  foreground: "#e3e7e5",
  cursor: "#71c7d8",
  selectionBackground: "#31474e",
  black: "#2a353a",
  red: "#f39184",
  green: "#7acb95",
  yellow: "#e9b45c",
  blue: "#7fb2ea",
  magenta: "#cf9fe0",
  cyan: "#71c7d8",
  white: "#d5dbd9",
  brightBlack: "#7f8d92",
};
const light: ITheme = {
  background: "#fffefb",
  foreground: "#1d2528",
  cursor: "#0b6377",
  selectionBackground: "#cfe3e6",
  black: "#1d2528",
  red: "#ab2418",
  green: "#23713f",
  yellow: "#8a5200",
  blue: "#1f5fa8",
  magenta: "#8a3a9c",
  cyan: "#0b6377",
  white: "#8a9396",
  brightBlack: "#566166",
};

export const themeOf = (isDark: boolean): ITheme => (isDark ? dark : light);
