/**
 * The helper of `programs.ts`, in Perl, which each Debian has. A job is one line: its number, the program and its arguments,
 * each with %XX for what is no plain letter. Each runs in a process of its own, so that one which hangs holds up no other, and
 * answers one short line, so that two which end at once do not mix: its number, exit code, what was said.
 *
 * `chattr` and `fallocate -n`, which each run needs several of, are no programs here but the kernel's calls: FS_IOC_GETFLAGS,
 * FS_IOC_SETFLAGS (ioctl_iflags(2)), and fallocate(2) that keeps the size, whose number is the helper's argument. So are
 * `setquota PATH KIBIBYTES INODES UID...` and `getquota PATH UID` (bytes and inodes that it has), which call quotactl_fd(2) by its
 * number: that is the same everywhere. Where no quotas are kept, or the kernel is older, the one does nothing, and all is 0.
 */
export const script = String.raw`use strict;
use Errno;
use Fcntl qw(O_APPEND O_RDONLY O_WRONLY O_NONBLOCK O_NOFOLLOW);

my ($fallocate) = @ARGV;
my %flags = (a => 0x20, i => 0x10);
my %calls = (chattr => \&chattr, fallocate => \&fallocate, setquota => \&setquota, getquota => \&getquota);

$SIG{CHLD} = "IGNORE"; # so that none stays as a zombie
while (my $line = <STDIN>) {
  chomp $line;
  my ($id, $program, @args) = map { s/%(..)/chr hex $1/ger } split / /, $line, -1;
  my $pid = fork;
  answer($id, 126, "cannot fork: $!") unless defined $pid;
  next if !defined $pid or $pid;
  answer($id, ($calls{$program} // sub { execute($program, @_) })->(@args));
  exit;
}

sub answer {
  my ($id, $code, $said) = @_;
  $said =~ s/\n+\z//;
  $said =~ tr/\n/ /;
  syswrite STDOUT, "$id $code " . substr($said, 0, 2000) . "\n";
}

sub execute {
  my ($program, @args) = @_;
  $SIG{CHLD} = "DEFAULT";
  open STDIN, "<", "/dev/null";
  my $pid = open my $output, "-|";
  return (126, "cannot fork: $!") unless defined $pid;
  if (!$pid) {
    open STDERR, ">&", \*STDOUT;
    exec { $program } $program, @args or print "$program: $!";
    exit 127;
  }
  my ($said, $more) = ("", "");
  while (sysread $output, $more, 65536) { $said .= $more if length $said < 2000 }
  close $output;
  return ($? & 127 ? 128 + ($? & 127) : $? >> 8, $said);
}

sub chattr {
  my ($add, $remove, @failed) = (0, 0);
  while (@_ and $_[0] =~ /^([+-])([ai])\z/) {
    $1 eq "+" ? ($add |= $flags{$2}) : ($remove |= $flags{$2});
    shift;
  }
  for my $path (@_) {
    my ($file, $now) = (undef, pack "L!", 0);
    my $is_done = sysopen($file, $path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW)
      && ioctl($file, 0x80086601, $now)
      && ioctl($file, 0x40086602, pack "L!", unpack("L!", $now) & ~$remove | $add);
    push @failed, "$path: $!" unless $is_done;
  }
  return (@failed ? 1 : 0, join "\n", @failed);
}

sub fallocate {
  my ($file, undef, undef, $bytes, $path) = (undef, @_);
  my $is_done = sysopen($file, $path, O_WRONLY | O_APPEND | O_NONBLOCK | O_NOFOLLOW)
    && syscall($fallocate, fileno $file, 1, 0, int $bytes) == 0;
  return $is_done ? (0, "") : (1, "$path: $!");
}

sub setquota {
  my ($path, $blocks, $inodes, @uids) = @_;
  my $limits = pack "Q8Lx4", $blocks, 0, 0, $inodes, 0, 0, 0, 0, 5; # QIF_BLIMITS | QIF_ILIMITS
  return quotactl($path, 0x80000800, $limits, @uids);
}

sub getquota {
  my ($path, $uid) = @_;
  my $found = pack "x72";
  my ($code, $said) = quotactl($path, 0x80000700, $found, $uid);
  return ($code, $code ? $said : join " ", (unpack "Q8", $found)[2, 5]);
}

sub quotactl {
  my ($path, $call, undef, @uids) = @_;
  sysopen my $root, $path, O_RDONLY or return (1, "$path: $!");
  for my $uid (@uids) {
    next if syscall(443, fileno $root, $call, int $uid, $_[2]) == 0;
    return $!{ESRCH} || $!{ENOSYS} ? (0, "") : (1, "$path: quota of $uid: $!");
  }
  return (0, "");
}
__END__
`;
