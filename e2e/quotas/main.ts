/**
 * `npm run quotas`: boots Debian's kernel, whose module keeps quotas, in QEMU, without KVM, and proves there with the
 * host agent's code what it relies on (`inside.ts`). As root on Debian; not a part of `npm test`, for it takes that kernel (27 MB)
 * from Debian's packages and a minute of a core.
 */
import { execFileSync, spawn } from "node:child_process";
import {
  chmodSync,
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { build } from "esbuild";
import { runWithSettings } from "../../scripts/setup/command.ts";
import { ensurePrograms } from "../../scripts/setup/debian.ts";

const deadlineMs = 1_200_000;
/** What the host agent runs, and what the proof does; the rest is busybox's. */
const programs =
  "mkfs.ext4 tune2fs resize2fs e2fsck e2image dumpe2fs debugfs mount umount losetup perl timeout truncate mktemp rm node".split(
    " ",
  );
const init = `#!/bin/busybox sh
/bin/busybox --install -s /bin
ln -s /bin/busybox /sbin/modprobe
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev
insmod /modules/loop.ko
node /inside.js && echo all hold
poweroff -f
`;

await runWithSettings(async () => {
  await ensurePrograms({ "qemu-system-x86_64": "qemu-system-x86", busybox: "busybox-static", cpio: "cpio" });
  const work = mkdtempSync(join(tmpdir(), "berth-quotas-"));
  try {
    return (await boot(fetchKernel(work), await pack(work))) ? 0 : 1;
  } finally {
    rmSync(work, { recursive: true });
  }
});

/** Unpacks Debian's kernel, and its modules beside the programs; answers where the kernel is. */
function fetchKernel(work: string): string {
  const run = (command: string) =>
    execFileSync("sh", ["-ec", command], { cwd: work, stdio: ["ignore", "pipe", "inherit"] });
  run(`name=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: \\(linux-image-[0-9].*\\)/\\1/p' | head -n 1)
apt-get -q -o APT::Sandbox::User=root download "$name"
dpkg-deb -x linux-image-*.deb kernel
mkdir -p root/modules
find kernel -name 'loop.ko*' -o -name 'quota_tree.ko*' -o -name 'quota_v2.ko*' | xargs -I {} cp {} root/modules
xz -d root/modules/*.xz 2> /dev/null || true`);
  return globSync(join(work, "kernel/boot/vmlinuz-*"))[0]!;
}

/** A file system in memory: this machine's programs with their libraries, and the proof as one file. */
async function pack(work: string): Promise<string> {
  const root = join(work, "root");
  for (const name of ["bin", "sbin", "proc", "sys", "dev", "tmp", "data", "etc"])
    mkdirSync(join(root, name), { recursive: true });
  const add = (path: string) =>
    !existsSync(join(root, path)) && cpSync(path, join(root, path), { recursive: true, dereference: true });
  for (const name of programs) {
    const path =
      name === "node"
        ? process.execPath
        : execFileSync("sh", ["-c", `command -v ${name}`], { encoding: "utf8" }).trim();
    add(path);
    if (dirname(path) !== "/bin") symlinkSync(path, join(root, "bin", name));
    for (const [library] of execFileSync("ldd", [path], { encoding: "utf8" }).matchAll(/\/\S+/g)) add(library);
  }
  cpSync("/bin/busybox", join(root, "bin/busybox"));
  add(execFileSync("perl", ["-MErrno", "-e", "print $INC{'Errno.pm'} =~ s{/Errno.pm}{}r"], { encoding: "utf8" }));
  await build({
    entryPoints: [join(import.meta.dirname, "inside.ts")],
    bundle: true,
    platform: "node",
    format: "esm",
    outfile: join(root, "inside.js"),
    logLevel: "warning",
  });
  writeFileSync(join(root, "package.json"), '{"type": "module"}');
  writeFileSync(join(root, "init"), init);
  chmodSync(join(root, "init"), 0o755);
  execFileSync("sh", ["-c", "find . | cpio -o -H newc --quiet > ../initrd"], { cwd: root });
  return join(work, "initrd");
}

/** Says what the machine says, and whether all holds. */
async function boot(kernel: string, initrd: string): Promise<boolean> {
  const given = ["-kernel", kernel, "-initrd", initrd, "-append", "console=ttyS0 quiet panic=-1"];
  const machine = spawn(
    "qemu-system-x86_64",
    ["-nographic", "-no-reboot", "-nic", "none", "-cpu", "max", "-m", "2G", ...given],
    {
      stdio: ["ignore", "pipe", "inherit"],
      timeout: deadlineMs,
    },
  );
  let hold = false;
  for await (const line of createInterface({ input: machine.stdout })) {
    hold ||= line.trim() === "all hold";
    process.stdout.write(`${line}\n`);
  }
  return hold;
}
