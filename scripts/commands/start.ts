/** `npm start`: everything on this machine. Sets up what is missing, starts gateway and host agent, keeps them running, tells how to sign in. */
import { serve } from "../processes/serve.ts";
import { runWithSettings } from "../setup/command.ts";

await runWithSettings((settings) => serve({ settings, env: process.env }));
