/** The dashboard's entry. */
import { render } from "preact";
import { App } from "./app.tsx";
import { startSession } from "./state/session.ts";
import "./style/base.css";
import "./style/shell.css";
import "./style/conversation.css";
import "./style/pages.css";

render(<App />, document.querySelector("#app")!);
void startSession();
