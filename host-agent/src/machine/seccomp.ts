/**
 * Which system calls a program in a workspace may make: an allow-list of our own, so that what an engine allows by default does not
 * matter. It is that of the engine for a container without capabilities, without asynchronous I/O, rare families of sockets and programs
 * of another word size: a large part of what in the kernel was broken lately.
 */

const allowed = `
  accept accept4 access adjtimex alarm arch_prctl bind brk cachestat capget capset chdir chmod chown clock_adjtime
  clock_getres clock_gettime clock_nanosleep close close_range connect copy_file_range creat dup dup2 dup3
  epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd
  eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64 fallocate fchdir fchmod fchmodat fchmodat2
  fchown fchownat fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat fstatfs fsync ftruncate
  futex futex_requeue futex_wait futex_waitv futex_wake futimesat get_robust_list get_thread_area getcpu getcwd
  getdents getdents64 getegid geteuid getgid getgroups getitimer getpeername getpgid getpgrp getpid getppid
  getpriority getrandom getresgid getresuid getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday
  getuid getxattr inotify_add_watch inotify_init inotify_init1 inotify_rm_watch ioctl ioprio_get ioprio_set kill landlock_add_rule landlock_create_ruleset
  landlock_restrict_self lchown lgetxattr link linkat listen listxattr llistxattr lremovexattr lseek lsetxattr lstat
  madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2
  mlockall mmap mprotect mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink mremap
  mseal msgctl msgget msgrcv msgsnd msync munlock munlockall munmap nanosleep newfstatat open openat openat2 pause
  pidfd_open pidfd_send_signal pipe pipe2 poll ppoll prctl pread64 preadv preadv2 prlimit64 process_mrelease pselect6
  ptrace pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv recvfrom recvmmsg recvmsg remap_file_pages
  removexattr rename renameat renameat2 restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask
  rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo sched_get_priority_max
  sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval
  sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp select semctl semget semop
  semtimedop sendfile sendmmsg sendmsg sendto set_robust_list set_thread_area set_tid_address setfsgid setfsuid setgid
  setgroups setitimer setpgid setpriority setregid setresgid setresuid setreuid setrlimit setsid setsockopt setuid
  setxattr shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4 splice stat statfs statx
  symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete timer_getoverrun
  timer_gettime timer_settime timerfd_create timerfd_gettime timerfd_settime times tkill truncate umask uname unlink
  unlinkat utime utimensat utimes vfork vmsplice wait4 waitid write writev`
  .trim()
  .split(/\s+/);

/** By their names in fcntl(2). Without leases: while one is held, whoever opens the file waits, the host agent too. */
const fileCommands = {
  F_DUPFD: 0,
  F_GETFD: 1,
  F_SETFD: 2,
  F_GETFL: 3,
  F_SETFL: 4,
  F_GETLK: 5,
  F_SETLK: 6,
  F_SETLKW: 7,
  F_SETOWN: 8,
  F_GETOWN: 9,
  F_SETSIG: 10,
  F_GETSIG: 11,
  F_SETOWN_EX: 15,
  F_GETOWN_EX: 16,
  F_OFD_GETLK: 36,
  F_OFD_SETLK: 37,
  F_OFD_SETLKW: 38,
  F_DUPFD_QUERY: 1027,
  F_CREATED_QUERY: 1028,
  F_DUPFD_CLOEXEC: 1030,
  F_SETPIPE_SZ: 1031,
  F_GETPIPE_SZ: 1032,
  F_ADD_SEALS: 1033,
  F_GET_SEALS: 1034,
  F_GET_RW_HINT: 1035,
  F_SET_RW_HINT: 1036,
  F_GET_FILE_RW_HINT: 1037,
  F_SET_FILE_RW_HINT: 1038,
};
const [unix, ipv4, ipv6, netlink] = [1, 2, 10, 16];
const [stream, datagram, raw] = [1, 2, 3];
/** The first use of any other family, type or protocol loads a module of the machine's kernel. */
const sockets = [
  // Also ping's, and MPTCP.
  ...[ipv4, ipv6].map((family) => ({ family, types: [stream], protocols: [0, 6, 262] })),
  ...[ipv4, ipv6].map((family) => ({ family, types: [datagram], protocols: [0, 1, 17, 58] })),
  // Routes, sockets, devices; not the generic one, which loads a module by whatever name it is asked for.
  { family: netlink, types: [datagram, raw], protocols: [0, 4, 15] },
];
/** Of netlink all others: who asks for them, as PAM and useradd do for the audit, takes this for a kernel without, and goes on. */
const unsupported = 93;
const unsupportedProtocols = Array.from({ length: 32 }, (_, protocol) => protocol).filter(
  (one) => ![0, 4, 15].includes(one),
);
/** Linux; of 32 bit, with an older number, both; and asking. */
const personalities = [0x0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];
/** Any of these makes a namespace, within which a process has capabilities. */
const namespaceFlags = 0x7e02_0000;
const notThere = 38;
const asynchronousIo = ["setup", "destroy", "submit", "cancel", "getevents", "pgetevents"].map((call) => `io_${call}`);

/** Of the first argument. */
const isEqual = (value: number) => ({ index: 0, value, op: "SCMP_CMP_EQ" });
/** Of these bits alone: of an argument of 32 bits the kernel ignores the others. */
const isMasked = (mask: number, value: number, index: number) => ({
  index,
  value: mask,
  valueTwo: value,
  op: "SCMP_CMP_MASKED_EQ",
});
const word = 0xffff_ffff;
/** A socket's type without its flags. */
const typeBits = 0xf;
const allow = (names: string[], args: object[] = []) => ({ names, action: "SCMP_ACT_ALLOW", args });

/** As the engine takes it in a security option. What a library on the machine does not know by name it leaves out. */
export const seccompProfile = JSON.stringify({
  defaultAction: "SCMP_ACT_ERRNO",
  // Where it knows the machine's, the runtime answers to calls that are newer than all of these that there is no such call.
  archMap: ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"].map((architecture) => ({ architecture, subArchitectures: [] })),
  syscalls: [
    allow(allowed),
    ...Object.values(fileCommands).map((command) => allow(["fcntl"], [isMasked(word, command, 1)])),
    allow(["socket", "socketpair"], [isEqual(unix)]),
    ...sockets.flatMap(({ family, types, protocols }) =>
      types.flatMap((type) =>
        protocols.map((protocol) =>
          allow(["socket"], [isEqual(family), isMasked(typeBits, type, 1), isMasked(word, protocol, 2)]),
        ),
      ),
    ),
    ...unsupportedProtocols.map((protocol) => ({
      names: ["socket"],
      action: "SCMP_ACT_ERRNO",
      errnoRet: unsupported,
      args: [isEqual(netlink), isMasked(word, protocol, 2)],
    })),
    ...personalities.map((persona) => allow(["personality"], [isEqual(persona)])),
    allow(["clone"], [isMasked(namespaceFlags, 0, 0)]),
    // Its flags lie in memory, where no filter looks: the C library falls back to clone. Of asynchronous I/O the kernel has one
    // count for the whole machine, which one agent could take: programs fall back to threads.
    { names: ["clone3", ...asynchronousIo], action: "SCMP_ACT_ERRNO", errnoRet: notThere },
  ],
});
