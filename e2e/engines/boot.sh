#!/bin/sh
# boot.sh DISK GROUP BOOT TREE: becomes a machine whose process 1 is systemd, in namespaces and control groups of its own. Its root is
# DISK, its programs are this machine's (/usr), Berth's tree lies in /opt/berth. What a real boot makes anew is new here too: processes,
# mounts, /run, network, the boot's id, and clocks that count from the boot. What is left when it ends is DISK.
set -eu
groups=/sys/fs/cgroup

enter() {
  mkdir -p "$1"
  # A new cpuset has no processors, and takes no process.
  if [ -e "$1/cpuset.cpus" ] && [ ! -e "$1/cgroup.controllers" ]; then
    cat "$1/../cpuset.cpus" > "$1/cpuset.cpus"
    cat "$1/../cpuset.mems" > "$1/cpuset.mems"
  fi
  echo $$ > "$1/cgroup.procs"
}

controllers() {
  for dir in "$groups"/*/; do [ ! -e "$dir/cgroup.procs" ] || basename "$dir"; done
}

if [ "$5" = outside ]; then
  if [ -e $groups/cgroup.controllers ]; then enter "$groups/$2"; else for each in $(controllers); do enter "$groups/$each/$2"; done; fi
  since=$(cut -d. -f1 /proc/uptime)
  exec unshare --mount --pid --fork --uts --ipc --cgroup --net --propagation private --time --monotonic "-$since" --boottime "-$since" \
    sh "$0" "$1" "$2" "$3" "$4" inside
fi

root=$1
mount --bind "$root" "$root"
mount --rbind /usr "$root/usr"
mount -t overlay -o "lowerdir=$4,upperdir=$root/../tree,workdir=$root/../work" berth "$root/opt/berth"
mount -t proc proc "$root/proc"
# As in any container: what the kernel has once for all machines is read.
mount --bind "$root/proc/sys" "$root/proc/sys"
mount --bind "$root/proc/sys/net" "$root/proc/sys/net"
mount -o remount,bind,ro "$root/proc/sys"
mount --bind "$3" "$root/proc/sys/kernel/random/boot_id"
mount -t sysfs -o ro sysfs "$root/sys"
if [ -e $groups/cgroup.controllers ]; then
  mount -t cgroup2 cgroup2 "$root$groups"
else
  mount -t tmpfs -o mode=755 cgroups "$root$groups"
  for each in $(controllers); do
    mkdir "$root$groups/$each"
    case $each in
      unified) mount -t cgroup2 cgroup2 "$root$groups/$each" ;;
      systemd) mount -t cgroup -o none,name=systemd cgroup "$root$groups/$each" ;;
      *) mount -t cgroup -o "$each" cgroup "$root$groups/$each" ;;
    esac
  done
fi
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=755 run "$root/run"
cd "$root"
pivot_root . old
umount -l /old
# As systemd has it on a machine.
mount --make-rshared /
exec env -i container=lxc PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --show-status=no < /dev/null
