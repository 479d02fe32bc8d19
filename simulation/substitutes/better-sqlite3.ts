/** The substitute of `better-sqlite3` for the host agent. */
import { world } from "../world/world.ts";
import { Connection } from "../machine/database.ts";
import { machine } from "../machine/machine.ts";

/** As `new Database(file)`: the machine's one. */
export default function Database(path: string): Connection {
  const { files, database } = machine();
  if (!files.find(path)) {
    files.add(path, "file", 0o600, "open");
    files.add(`${path}-wal`, "file", 0o600, "open").onSync = () => database.sync();
  }
  return new Connection(database, world().current);
}
