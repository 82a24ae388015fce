"""Every way to change a file, on every kind of target: prints `OPERATION TARGET ok|no` for each. $OUT is outside."""

import os
import shutil
import socket
import stat

OUT = os.environ["OUT"]
ROOT = "/proc/self/root"

# What is there, and what isn't, below each target.
TARGETS = {
    "inside": ("plain/file", "plain/new"),
    "outside": (OUT + "/keep", OUT + "/new"),
    "by-proc-root": (ROOT + OUT + "/keep", ROOT + OUT + "/new"),
    "by-proc-cwd": ("/proc/self/cwd/../out/keep", "/proc/self/cwd/../out/new"),
    "by-link": ("link/keep", "link/new"),
    "by-dots": ("plain/../../out/keep", "plain/../../out/new"),
    "protected": (".git/config", ".git/new"),
    "protected-below": (".git/refs/heads/main", ".git/hooks/pre-commit"),
    "protected-absent": (".codex", ".codex"),
    "read-denied": ("secret/key", "secret/new"),
}


def close(fd):
    os.close(fd)


def by_descriptor(change):
    def act(there, _):
        fd = os.open(there, os.O_RDONLY)
        try:
            change(fd)
        finally:
            close(fd)

    return act


def temporary(there, new):
    directory = os.path.dirname(new) or "."
    fd = os.open(directory, os.O_TMPFILE | os.O_WRONLY, 0o600)
    try:
        # Only with a directory it is `linkat`, which follows.
        os.link(f"/proc/self/fd/{fd}", new, src_dir_fd=fd, follow_symlinks=True)
    finally:
        close(fd)


def bind(_, new):
    with socket.socket(socket.AF_UNIX) as it:
        it.bind(new)


def from_directory(flags, which):
    def act(*paths):
        path = paths[which]
        directory = os.open(os.path.dirname(path) or ".", os.O_PATH | os.O_DIRECTORY)
        try:
            close(os.open(os.path.basename(path), flags, 0o600, dir_fd=directory))
        finally:
            close(directory)

    return act


W, R = os.O_WRONLY, os.O_RDONLY
OPERATIONS = {
    "create": lambda there, new: close(os.open(new, W | os.O_CREAT | os.O_EXCL, 0o600)),
    "create-or-open": lambda there, new: close(os.open(new, W | os.O_CREAT, 0o600)),
    "create-from-directory": from_directory(W | os.O_CREAT | os.O_EXCL, 1),
    "create-temporary": temporary,
    "append": lambda there, new: close(os.open(there, W | os.O_APPEND)),
    "write": lambda there, new: close(os.open(there, W)),
    "read-and-write": lambda there, new: close(os.open(there, os.O_RDWR)),
    "write-from-directory": from_directory(W, 0),
    "open-truncating": lambda there, new: close(os.open(there, R | os.O_TRUNC)),
    "truncate": lambda there, new: os.truncate(there, 0),
    "remove": lambda there, new: os.unlink(there),
    "rename-away": lambda there, new: os.rename(there, "plain/taken"),
    "rename-onto": lambda there, new: os.rename("plain/other", there),
    "rename-to": lambda there, new: os.rename("plain/other", new),
    "link-from": lambda there, new: os.link(there, "plain/linked"),
    "link-to": lambda there, new: os.link("plain/other", new),
    "symlink": lambda there, new: os.symlink("target", new),
    "make-directory": lambda there, new: os.mkdir(new),
    "make-fifo": lambda there, new: os.mkfifo(new),
    "make-node": lambda there, new: os.mknod(new, stat.S_IFREG | 0o600),
    "make-socket": bind,
    "mode": lambda there, new: os.chmod(there, 0o640),
    "mode-by-descriptor": by_descriptor(lambda fd: os.fchmod(fd, 0o640)),
    "owner": lambda there, new: os.chown(there, os.getuid(), os.getgid()),
    "times": lambda there, new: os.utime(there, (1, 1)),
    "times-by-descriptor": by_descriptor(lambda fd: os.utime(fd, (1, 1))),
    "attribute": lambda there, new: os.setxattr(there, "user.x", b"1"),
    "attribute-by-descriptor": by_descriptor(lambda fd: os.setxattr(fd, "user.x", b"1")),
}


def renew():
    shutil.rmtree("plain", ignore_errors=True)
    os.mkdir("plain")
    for name in ("file", "other"):
        with open(f"plain/{name}", "w") as file:
            file.write("x\n")


if not os.path.islink("link"):
    os.symlink(OUT, "link")
for target, (there, new) in TARGETS.items():
    for operation, act in OPERATIONS.items():
        renew()
        try:
            act(there, new)
            verdict = "ok"
        except OSError:
            verdict = "no"
        print(operation, target, verdict)
