/** One tiny package for each package tool, made from nothing: an npm tarball, a Python wheel, a Git repository. */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";

export const npmPackageName = "tiny-berth-package";
/** Built where it is installed. */
export const nativePackageName = "tiny-berth-native";
export const wheelName = "tiny_berth_wheel";
export const wheelFile = `${wheelName}-1.0.0-py3-none-any.whl`;

/** The tarballs of npm packages by their names, of which one exports the string `tiny` and one, compiled from C, the number 42. */
export function makeNpmTarballs(dir: string): Record<string, Buffer> {
  return {
    [npmPackageName]: makeNpmTarball(dir, npmPackageName, { "index.js": 'module.exports = "tiny";\n' }),
    [nativePackageName]: makeNpmTarball(dir, nativePackageName, {
      "index.js": 'module.exports = require("./build/Release/answer.node");\n',
      "binding.gyp": '{"targets":[{"target_name":"answer","sources":["answer.c"]}]}',
      "answer.c": `#include <node_api.h>
static napi_value init(napi_env env, napi_value exports) { napi_value v; napi_create_int32(env, 42, &v); return v; }
NAPI_MODULE(answer, init)\n`,
    }),
  };
}

function makeNpmTarball(dir: string, name: string, files: Record<string, string>): Buffer {
  const scripts = "binding.gyp" in files ? { install: "node-gyp rebuild" } : {};
  const all = { ...files, "package.json": JSON.stringify({ name, version: "1.0.0", main: "index.js", scripts }) };
  mkdirSync(join(dir, name, "package"), { recursive: true });
  for (const [file, text] of Object.entries(all)) writeFileSync(join(dir, name, "package", file), text);
  execFileSync("tar", ["-czf", "npm.tgz", "package"], { cwd: join(dir, name) });
  return readFileSync(join(dir, name, "npm.tgz"));
}

/** A wheel with one module, and the command `tiny-berth`. */
export function makeWheel(): Buffer {
  const info = `${wheelName}-1.0.0.dist-info`;
  return zip({
    [`${wheelName}.py`]: 'value = "tiny"\n\ndef main():\n    print("a tiny command")\n',
    [`${info}/entry_points.txt`]: `[console_scripts]\ntiny-berth = ${wheelName}:main\n`,
    [`${info}/METADATA`]: `Metadata-Version: 2.1\nName: ${wheelName}\nVersion: 1.0.0\n`,
    [`${info}/WHEEL`]: "Wheel-Version: 1.0\nGenerator: berth\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    [`${info}/RECORD`]: `${wheelName}.py,,\n${info}/METADATA,,\n${info}/WHEEL,,\n${info}/entry_points.txt,,\n${info}/RECORD,,\n`,
  });
}

/** A bare repository with one commit that holds `README.md`, ready to be served as plain files. Returns its directory. */
export function makeGitRepository(dir: string): string {
  const bare = join(dir, "repo.git");
  const git = (cwd: string, ...args: string[]) =>
    execFileSync("git", ["-c", "user.name=test", "-c", "user.email=test@example.com", ...args], { cwd, stdio: "pipe" });
  mkdirSync(join(dir, "work"), { recursive: true });
  git(join(dir, "work"), "init", "-q", "-b", "main");
  writeFileSync(join(dir, "work/README.md"), "tiny\n");
  git(join(dir, "work"), "add", ".");
  git(join(dir, "work"), "commit", "-q", "-m", "Begin");
  git(dir, "clone", "-q", "--bare", "work", "repo.git");
  git(bare, "update-server-info");
  return bare;
}

/** A zip archive of stored (not compressed) files. */
function zip(files: Record<string, string>): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const [name, text] of Object.entries(files)) {
    const data = Buffer.from(text);
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(0x21, 8);
    common.writeUInt32LE(crc32(data), 10);
    common.writeUInt32LE(data.length, 14);
    common.writeUInt32LE(data.length, 18);
    common.writeUInt16LE(name.length, 22);
    const place = Buffer.alloc(14);
    place.writeUInt32LE(offset, 10);
    const local = Buffer.concat([Buffer.from("PK\x03\x04"), common, Buffer.from(name), data]);
    directory.push(Buffer.concat([Buffer.from("PK\x01\x02\x14\x00"), common, place, Buffer.from(name)]));
    parts.push(local);
    offset += local.length;
  }
  const end = Buffer.alloc(18);
  end.writeUInt16LE(parts.length, 4);
  end.writeUInt16LE(parts.length, 6);
  end.writeUInt32LE(Buffer.concat(directory).length, 8);
  end.writeUInt32LE(offset, 12);
  return Buffer.concat([...parts, ...directory, Buffer.from("PK\x05\x06"), end]);
}
