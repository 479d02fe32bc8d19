/** The dashboard's entry. */
import { render } from "preact";
import { App } from "./app.tsx";
import { startPreferences } from "./preferences/preferences.ts";
import { startSession } from "./state/session.ts";
import "./style/base.css";
import "./style/shell.css";
import "./style/conversation.css";
import "./style/pages.css";

void startSession();
// A sign-in link that is opened where the page is open already changes the fragment alone.
addEventListener("hashchange", () => location.hash.startsWith("#code=") && void startSession());
await startPreferences();
render(<App />, document.querySelector("#app")!);
