/** Where language and theme are chosen. */
import { language, languageNames, t, type Language } from "../i18n/language.ts";
import { changeLanguage, chooseTheme, theme, type Theme } from "./preferences.ts";

export function PreferenceSwitches() {
  const { frame } = t();
  return (
    <p class="switches">
      <select
        aria-label={frame.language}
        value={language()}
        onChange={(event) => changeLanguage(event.currentTarget.value as Language)}
      >
        {Object.entries(languageNames).map(([value, name]) => (
          <option key={value} value={value} lang={value}>
            {name}
          </option>
        ))}
      </select>
      <select
        aria-label={frame.theme}
        value={theme.value ?? "system"}
        onChange={({ currentTarget: { value } }) => chooseTheme(value === "system" ? null : (value as Theme))}
      >
        {Object.entries(frame.themes).map(([value, name]) => (
          <option key={value} value={value}>
            {name}
          </option>
        ))}
      </select>
    </p>
  );
}
