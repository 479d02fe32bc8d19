"""Writes a directory to standard output as a tar or a zip, while it may be changing. What cannot be read is named in the
archive's last entry. Links are stored as links, pipes and sockets not at all."""
import os
import stat
import tarfile
import time
import zipfile

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC


def write(form, root, top):
    with open(1, "wb", buffering=1 << 18, closefd=False) as out:
        with (TarSink if form == "tar" else ZipSink)(out) as sink:
            sink.directory(top, os.fstat(root))
            unread = list(add_all(sink, root, top))
            if unread:
                sink.text(f"{top}/UNREADABLE.txt", "These could not be read:\n" + "\n".join(unread) + "\n")


def add_all(sink, root, top):
    """Adds what is below; yields the names of what could not be read. Neither depth nor size costs memory."""
    waiting = ["."]
    while waiting:
        below = waiting.pop()
        try:
            names = sorted(list_names(root, below))
        except OSError:
            yield f"{top}/{below[2:]}"
            continue
        for name in names:
            path = f"{below}/{name}"
            shown = f"{top}/{path[2:]}"
            try:
                if add(sink, root, path, shown):
                    waiting.append(path)
            except OSError as error:
                if error.filename is None:
                    raise
                yield shown


def list_names(root, below):
    fd = os.open(below, DIRECTORY, dir_fd=root)
    try:
        return os.listdir(fd)
    finally:
        os.close(fd)


def add(sink, root, path, shown):
    """Adds one entry; whether it is a directory."""
    found = os.stat(path, dir_fd=root, follow_symlinks=False)
    if stat.S_ISDIR(found.st_mode):
        sink.directory(shown, found)
        return True
    if stat.S_ISLNK(found.st_mode):
        sink.link(shown, found, os.readlink(path, dir_fd=root))
    elif stat.S_ISREG(found.st_mode):
        fd = os.open(path, FILE, dir_fd=root)
        with open(fd, "rb", buffering=0) as file:
            found = os.fstat(fd)
            if stat.S_ISREG(found.st_mode):
                sink.file(shown, found, Exactly(file, found.st_size))
    return False


class Exactly:
    """A file of a fixed size: what grew meanwhile is cut, what shrank is filled up with zeros, as tar itself does."""

    def __init__(self, file, size):
        self.file, self.left = file, size

    def read(self, size):
        wanted = min(size, self.left)
        data = self.file.read(wanted) if wanted else b""
        self.left -= wanted
        while len(data) < wanted:
            more = self.file.read(wanted - len(data))
            data += more or bytes(wanted - len(data))
        return data


class TarSink:
    def __init__(self, out):
        self.tar = tarfile.open(fileobj=out, mode="w|", bufsize=1 << 18)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.tar.close()

    def entry(self, name, found, kind, size=0):
        info = tarfile.TarInfo(name)
        info.type, info.size, info.mtime, info.mode = kind, size, int(found.st_mtime), found.st_mode & 0o777
        # The agent's uid means nothing elsewhere, and the list of members would grow with the archive.
        self.tar.members = []
        return info

    def directory(self, name, found):
        self.tar.addfile(self.entry(name, found, tarfile.DIRTYPE))

    def link(self, name, found, target):
        info = self.entry(name, found, tarfile.SYMTYPE)
        info.linkname = target
        self.tar.addfile(info)

    def file(self, name, found, content):
        self.tar.addfile(self.entry(name, found, tarfile.REGTYPE, found.st_size), content)

    def text(self, name, text):
        data = os.fsencode(text)
        info = tarfile.TarInfo(name)
        info.size, info.mtime = len(data), int(time.time())
        self.tar.addfile(info, Bytes(data))


class ZipSink:
    def __init__(self, out):
        self.zip = zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.zip.close()

    def entry(self, name, found):
        moment = time.gmtime(min(max(found.st_mtime, 315_532_800), 4_354_819_198))[:6]
        info = zipfile.ZipInfo(os.fsencode(name).decode("utf-8", "replace"), moment)
        info.external_attr = (found.st_mode & 0xFFFF) << 16
        info.compress_type = zipfile.ZIP_DEFLATED
        return info

    def directory(self, name, found):
        self.zip.writestr(self.entry(name + "/", found), b"", zipfile.ZIP_STORED)

    def link(self, name, found, target):
        self.zip.writestr(self.entry(name, found), os.fsencode(target), zipfile.ZIP_STORED)

    def file(self, name, found, content):
        with self.zip.open(self.entry(name, found), "w", force_zip64=found.st_size >= 1 << 30) as out:
            while data := content.read(1 << 18):
                out.write(data)

    def text(self, name, text):
        self.zip.writestr(name, os.fsencode(text))


class Bytes:
    def __init__(self, data):
        self.data = data

    def read(self, size):
        part, self.data = self.data[:size], self.data[size:]
        return part
