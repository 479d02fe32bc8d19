/** Scripts that try, inside a container, what an agent must not be able to do; each prints what came of it as JSON. */

/**
 * Tries everything on one target. `target`: shell words for its directory, the pid of a process of it (0: a child made for
 * the purpose), its run and its agent. Prints "done" or the name of the error by attempt.
 */
export const attackScript = (target: string) => `python3 - ${target} <<'PYTHON'
import ctypes, errno, fcntl, json, os, signal, socket, struct, sys, time
home, pid, run, agent = sys.argv[1], int(sys.argv[2]), "/run/berth-runs/" + sys.argv[3], sys.argv[4]
libc = ctypes.CDLL(None, use_errno=True)
is_own = pid == 0
if is_own:
    pid = os.fork()
    if pid == 0:
        time.sleep(60)
        os._exit(0)

def call(result):
    if result < 0: raise OSError(ctypes.get_errno(), "")
def read_memory():
    with open(f"/proc/{pid}/maps") as maps: start = int(maps.readline().split("-")[0], 16)
    with open(f"/proc/{pid}/mem", "rb") as mem:
        mem.seek(start)
        assert len(mem.read(8)) == 8
class Iovec(ctypes.Structure): _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]
def read_by_syscall():
    here, there = ctypes.create_string_buffer(8), ctypes.create_string_buffer(8)
    one, two = Iovec(ctypes.addressof(here), 8), Iovec(ctypes.addressof(there), 8)
    call(libc.process_vm_readv(pid, ctypes.byref(one), 1, ctypes.byref(two), 1, 0))
def connect():
    with socket.socket(socket.AF_UNIX) as s: s.connect(f"/run/berth/{agent}.sock")
def unseal():
    with open(run + "/out") as f: fcntl.ioctl(f, 0x40086602, struct.pack("l", 0))

attempts = {
    "list": lambda: os.listdir(home),
    "read": lambda: open(home + "/secret").read(),
    "append": lambda: open(home + "/secret", "a"),
    "create": lambda: open(home + "/new", "w"),
    "removeNew": lambda: os.unlink(home + "/new"),
    "enter": lambda: os.chdir(home),
    "chmod": lambda: os.chmod(home, 0o700),
    "environ": lambda: open(f"/proc/{pid}/environ").read(),
    "fds": lambda: os.listdir(f"/proc/{pid}/fd"),
    "cwd": lambda: os.readlink(f"/proc/{pid}/cwd"),
    "cwdPath": lambda: os.listdir(f"/proc/{pid}/cwd/"),
    "root": lambda: os.listdir(f"/proc/{pid}/root/"),
    "memory": read_memory,
    "memoryByCall": read_by_syscall,
    "oomScore": lambda: open(f"/proc/{pid}/oom_score_adj", "w"),
    "signal": lambda: os.kill(pid, 0),
    "continue": lambda: os.kill(pid, signal.SIGCONT),
    "renice": lambda: os.setpriority(os.PRIO_PROCESS, pid, 19),
    "trace": lambda: call(libc.ptrace(0x4206, pid, None, None)),
    "modelSocket": connect,
    "readOut": lambda: open(run + "/out").read(),
    "appendOut": lambda: open(run + "/out", "a"),
    "appendExit": lambda: open(run + "/exit", "a"),
    "readPrompt": lambda: open(run + "/prompt").read(),
    "truncate": lambda: os.truncate(run + "/out", 0),
    "rename": lambda: os.rename(run + "/out", run + "/away"),
    "unlink": lambda: os.unlink(run + "/out"),
    "link": lambda: os.link(run + "/out", os.environ["HOME"] + "/linked"),
    "unseal": unseal,
}
ends = {}
for name, attempt in attempts.items():
    try:
        attempt()
        ends[name] = "done"
    except OSError as error: ends[name] = errno.errorcode[error.errno]
if is_own: os.kill(pid, signal.SIGKILL)
print(json.dumps(ends))
PYTHON
`;

/** Says what an agent's process is allowed: capabilities, writable places, network, the forwarder's port and process. */
export const postureScript = `python3 - <<'PYTHON'
import ctypes, errno, json, os, re, signal, socket, subprocess
status = open("/proc/self/status").read()
field = lambda name: re.search(rf"^{name}:\\s*(.*?)\\s*$", status, re.M).group(1)
def end_of(action):
    try:
        action()
        return "done"
    except OSError as error: return errno.errorcode[error.errno]
libc = ctypes.CDLL(None, use_errno=True)
def call(result):
    if result < 0: raise OSError(ctypes.get_errno(), "")
def fill_tmp():
    try:
        with open("/tmp/fill", "wb", 0) as f:
            for _ in range(200): f.write(bytes(2 ** 20))
    except OSError: pass
    size = os.stat("/tmp/fill").st_size
    os.unlink("/tmp/fill")
    return size
def find(*tests): return subprocess.run(["find", "/", "-xdev", *tests], capture_output=True, text=True).stdout.splitlines()
def write_into(path):
    return end_of(lambda: os.mkdir(path + "/x") if os.path.isdir(path) else open(path, "a").close())
def bind():
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    s.bind(("127.0.0.1", 3128))
    s.listen()
def terminals():
    open_ones = []
    try:
        while len(open_ones) < 200: open_ones.append(os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY))
    except OSError: pass
    for one in open_ones: os.close(one)
    return len(open_ones)
def fill_sockets():
    held = []
    for _ in range(600):
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.bind(("127.0.0.1", 0))
        one.setblocking(False)
        for _ in range(12): one.sendto(bytes(16000), one.getsockname())
        held.append(one)
    count = 0
    for one in held:
        try:
            while True: count += len(one.recv(16000))
        except BlockingIOError: one.close()
    return count
def has_words(path):
    try: return len(os.listdir(path) if os.path.isdir(path) else open(path, "rb").read(1)) > 0
    except OSError: return False
def command_of(pid):
    try: return open(f"/proc/{pid}/cmdline").read().split("\\0")[0]
    except OSError: return ""
def fcntl(command):
    # The kernel looks at 32 bits of the command.
    with open("/tmp/leased", "w"): pass
    with open("/tmp/leased") as f:
        ends = {end_of(lambda: call(libc.syscall(ctypes.c_long(72 if os.uname().machine == "x86_64" else 25), ctypes.c_long(f.fileno()), ctypes.c_long(number), ctypes.c_long(0))))
            for number in (command, command + 2**32)}
    os.unlink("/tmp/leased")
    return sorted(ends)
def open_socket(*kind): return end_of(lambda: socket.socket(*kind).close())
forwarder = next(pid for pid in os.listdir("/proc") if pid.isdigit() and command_of(pid).endswith("haproxy"))
print(json.dumps({
    "caps": sorted({field(name) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}),
    "noNewPrivs": field("NoNewPrivs"),
    "seccomp": field("Seccomp"),
    "groups": sorted({os.getgid(), *os.getgroups()}),
    "setuid": find("-type", "f", "-perm", "/6000"),
    "writable": [path for path in find("-not", "-type", "l") if write_into(path) == "done"],
    "interfaces": [line.split(":")[0].strip() for line in open("/proc/net/dev").read().splitlines()[2:]],
    "routes": len(open("/proc/net/route").read().splitlines()) - 1,
    "tmpBytes": fill_tmp(),
    "namespaces": end_of(lambda: call(libc.unshare(0x10000000))),
    "mount": end_of(lambda: call(libc.mount(b"none", b"/tmp", b"tmpfs", 0, None))),
    "asynchronousIo": end_of(lambda: call(libc.syscall(206 if os.uname().machine == "x86_64" else 0, 1, ctypes.byref(ctypes.c_ulong(0))))),
    "terminals": terminals(),
    "socketBytes": fill_sockets(),
    "ioUring": end_of(lambda: call(libc.syscall(425, 8, ctypes.create_string_buffer(256)))),
    "sockets": {family: end_of(lambda: socket.socket(getattr(socket, "AF_" + family), socket.SOCK_DGRAM).close())
        for family in ("UNIX", "INET", "INET6", "ALG", "VSOCK", "TIPC", "BLUETOOTH", "CAN")},
    "commands": {name: fcntl(number) for name, number in {"SETLEASE": 1024, "GETLEASE": 1025, "NOTIFY": 1026, "SETDELEG": 1040, "GETFD": 1}.items()},
    "kinds": {name: open_socket(*kind) for name, kind in {"TCP": (2, 1, 6), "UDP": (10, 2, 17), "MPTCP": (2, 1, 262), "ROUTE": (16, 3, 0), "DIAG": (16, 2, 4),
        "SMC": (2, 1, 256), "SCTP": (2, 1, 132), "SEQPACKET": (10, 5, 0), "DCCP": (2, 6, 0), "PACKET": (2, 10, 0), "UDPLITE": (2, 2, 136), "GENERIC": (16, 3, 16), "XFRM": (16, 3, 6), "AUDIT": (16, 3, 9)}.items()},
    "pairs": {family: end_of(lambda: socket.socketpair(family)) for family in (1, 2, 30, 40)},
    "told": [path for path in ("/proc/cmdline", "/proc/diskstats", "/proc/interrupts", "/proc/partitions", "/proc/kcore",
        "/proc/keys", "/sys/block", "/sys/class/block", "/sys/fs/ext4", "/sys/module", "/sys/firmware") if has_words(path)],
    "rawSocket": end_of(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)),
    "bind": end_of(bind),
    "killForwarder": end_of(lambda: os.kill(int(forwarder), signal.SIGTERM)),
}))
PYTHON
`;
