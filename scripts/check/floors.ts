/**
 * The house: packages, their floors from bottom to top, and on each floor its rooms with a sentence. A room is a folder or a
 * file; it imports from floors below its own, never from above and never from a neighbour on its floor, types included.
 * `floors.test.ts` holds the tree against this list; docs/ARCHITECTURE.md has a line for each room.
 */
export interface Package {
  /** The folder of its sources. */
  dir: string;
  /** The folder that its tests share. Tests import what they like of their own package and of those below. */
  tests?: string;
  /** Its files may import tests, because they are tests themselves. */
  isForTests?: boolean;
  floors: Record<string, string>[];
}

/** All files of the folder that stand in no other room. */
export const rest = "*";

const shared: Package = {
  dir: "shared/src",
  floors: [
    {
      bounds: "What bounds the work that others make: JSON of any shape, places that many want.",
      kinds: "What there is of a kind, by name, and what all must agree on of each. Knows no schema.",
    },
    { [rest]: "The contract as zod schemas: resources, errors, host protocol, settings, ids. Knows no process." },
    { credentials: "The contract of what agents use and never see: credentials for git, secrets, pull requests." },
  ],
};

const sharedOnNode: Package = {
  dir: "shared/node",
  floors: [
    {
      [rest]:
        "What both processes do on a disk and at their ports: the data directory, the lock on it, shares of connections. Knows Node.",
    },
  ],
};

const gateway: Package = {
  dir: "gateway/src",
  tests: "gateway/test",
  floors: [
    {
      keys: "What Berth signs, verifies and seals. Knows no database.",
      data: "Tables, and statements that are one on SQLite and D1 alike.",
    },
    { "deps.ts": "What the app is built from: the interfaces that Node, Workers and tests implement." },
    { http: "Routes as declarations, bodies, pages, limits, cookies, origins. Knows no noun of the product." },
    {
      access: "Who calls and who may: users, tokens, sessions, the OpenID provider, the audit.",
      hosts: "Calling a host, and choosing the one on which a user is placed.",
    },
    { agents: "Agents and their runs, those that wait at the gateway included." },
    {
      webhooks: "Triggers, who sent a delivery, and the prompt that it becomes.",
      fleet: "Hosts as they join, report and are administered.",
    },
    { "tick.ts": "What time brings about, called by a timer on Node and a cron on Workers." },
    { routes: "The API's table of contents: each file parses, calls the rooms below and answers." },
    { "app.ts": "All routes, the order of what wraps them, and the one place where errors become answers." },
    {
      node: "The entries on Node: process, server, SQLite, sockets, commands. Alone in knowing Node.",
      worker: "The entry on Workers: bindings, D1, cron. Alone in knowing Workers.",
    },
  ],
};

const hostAgent: Package = {
  dir: "host-agent/src",
  tests: "host-agent/test",
  floors: [
    { context: "What all parts share: settings, clock, log, waiting, the bus on which changes are told." },
    {
      store: "The host's database: agents, runs, revisions.",
      machine: "The engine, cgroups, the kernel's log, the machine's programs.",
      egress: "The way out of a container: a proxy with an allow-list, never to private addresses.",
      model: "The model proxy, what it counts and costs, the built-in demo model.",
    },
    {
      origins: "Names that go out with a credential of the user's, which never enters a container.",
      runtimes: "What the host knows of each runtime: what a run executes and is told, and what its lines say.",
    },
    { workspace: "A user's container with its volume, sockets and environment." },
    { run: "The life of a run: started once, watched, ended for one reason, its log sealed." },
    {
      output: "A run's output by byte offset, as events and over the socket.",
      membership: "The gateway's view of this host, and whom this host believes.",
    },
    { inside: "Terminals, files and git changes of an agent, as that agent, inside its container." },
    {
      http: "What the gateway may ask of a host: calls and sockets.",
      "parts.ts": "All parts put together and taken apart in order.",
    },
    { "loops.ts": "What is done again and again." },
    { "host-agent.ts": "Takes up what it finds, serves, and lets go without ending anything." },
    { "main.ts": "The process: settings, the lock, signals, exit codes." },
  ],
};

const web: Package = {
  dir: "gateway/web/src",
  tests: "gateway/web/test",
  floors: [
    { i18n: "Every sentence of the page, a catalogue a language, and the language that is spoken." },
    {
      text: "Numbers, times, states and reasons in words; text out of a container made fit to show.",
      preferences: "How a person wants the page: language and theme, kept in the browser.",
      kept: "What a person wrote and has not saved, and where they were: kept in the browser.",
      style: "The style sheets.",
    },
    { api: "Calls of the public API, and word to other tabs." },
    { ui: "Buttons, dialogs, icons, the router: what knows nothing of agents." },
    {
      markdown: "Markdown as elements, for hostile text.",
      terminal: "xterm on one side, the socket of a shell on the other.",
    },
    { transcript: "The lines of a run as items, and how each is drawn." },
    { runtimes: "What the page knows of each runtime: its words, and the lines that it prints." },
    { state: "What is so now, as signals: session, agents, hosts, runs, fed by the socket and the API." },
    {
      files: "An agent's files: browse, edit, upload, attach to a message; what git says has changed.",
      charts: "Small charts of columns, which can be read without colour.",
    },
    {
      agents: "An agent on the page: conversation, composer, settings.",
      credentials: "What agents use and never see: the user's credentials for git and secrets.",
      triggers: "An agent's triggers and their deliveries.",
      users: "What is decided about one user: limits, tokens, deletion.",
    },
    { frame: "What stands around all pages: sidebar, workspace bar, palette, keys." },
    { pages: "One file a page." },
    { "app.tsx": "The frame and the list of pages." },
    { "main.tsx": "The entry." },
  ],
};

const scripts: Package = {
  dir: "scripts",
  floors: [
    { setup: "Packages, engine and image made ready; the first step of every command." },
    { build: "Both processes and the dashboard as bundles." },
    { processes: "Gateway and host agent as children that are kept running." },
    {
      commands: "The commands of who runs Berth, a file each.",
      develop: "The commands of who changes it, a file each, and what they have in common.",
      check: "The floors of this house, and the tests that hold them.",
    },
  ],
};

const e2e: Package = {
  dir: "e2e",
  isForTests: true,
  floors: [
    {
      harness: "A cluster for tests, clients, attacks, a model endpoint that does what a test says.",
      hosts: "Host agents that are not as they should be, as programs.",
      judge: "What must hold of a history of calls, faults and files: rules, which share no code with what they judge.",
    },
    {
      engines: "Engines of the tests' own, and machines with a network between them.",
      browser: "The dashboard in a browser.",
      together: "Parts of both processes in one, without an engine.",
    },
    {
      faults: "A random campaign of faults under load, or a soak, and the history that it writes.",
      quotas: "What the host agent relies on of a kernel that keeps quotas, on one that does.",
      attack: "What an agent, a user or a stranger tries against everybody else, and whether the wall holds.",
    },
  ],
};

const simulation: Package = {
  dir: "simulation",
  isForTests: true,
  floors: [
    { world: "One seed: what happens when, on which side, and what stands in for timers, chance and modules." },
    { machine: "A model of a machine: files, processes, programs, engine, database." },
    { substitutes: "What the host agent gets for the modules that reach beyond its process." },
    { sides: "The real processes on it, and the network between them." },
    { schedule: "What happens to them, what must hold, and the fewest steps that break it." },
    { contract: "What is relied on of engine, kernel and files, asked of the model." },
    { joint: "The same of the real gateway and its hosts together." },
    { [rest]: "The command, and the tests." },
  ],
};

const bench: Package = {
  dir: "bench",
  isForTests: true,
  floors: [
    { lib: "The bare thing beside Berth, and how figures are printed and drawn." },
    { scale: "One real gateway among a thousand simulated hosts: how what it costs grows." },
    { conversation: "From a message to its answer, and what is said into a turn." },
    { [rest]: "One figure or two a file." },
  ],
};

/** From the bottom to the top: a package imports from those below its own floor. */
export const house: Package[][] = [
  [shared],
  [sharedOnNode],
  [gateway, hostAgent, web],
  [scripts],
  [e2e, simulation],
  [bench],
];
