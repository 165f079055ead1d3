"""Windows has no fcntl, no SIGHUP and no umask of its own: every module is imported without them, and locks work."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

IMPORT_ALL = """
import builtins, importlib, os, pkgutil, signal, sys, types
from pathlib import Path

MODULES = {"fcntl", "resource", "termios", "tty", "pty", "pwd", "grp", "readline", "syslog"}
NAMES = {
    "signal": {"SIGHUP", "SIGKILL", "SIGUSR1", "SIGUSR2", "SIGQUIT", "SIGPIPE", "SIGALRM", "SIGCHLD", "SIGCONT",
        "SIGTSTP",
        "SIGWINCH", "SIG_BLOCK", "SIG_UNBLOCK", "SIG_SETMASK", "pthread_sigmask", "alarm", "setitimer", "siginterrupt"},
    "os": {"fork", "getuid", "geteuid", "getgid", "getegid", "setsid", "killpg", "fchmod", "chown", "fchown", "mkfifo",
        "sched_getaffinity", "O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_DIRECTORY", "O_SYNC", "fdatasync", "getpgid",
        "getpgrp", "tcgetpgrp", "statvfs", "pipe2", "openpty", "wait3", "sysconf", "uname", "register_at_fork",
        "posix_fallocate", "sendfile", "pread", "pwrite", "lchown", "getloadavg", "setpgid", "ctermid"},
}
locked = set()
msvcrt = types.ModuleType("msvcrt")
msvcrt.LK_NBLCK = 2


def locking(descriptor, mode, count):
    key = os.fstat(descriptor).st_ino
    if key in locked:
        raise PermissionError(13, "Permission denied")
    locked.add(key)


msvcrt.locking = locking


def as_on_windows(module, hidden):
    copy = types.ModuleType(module.__name__)
    copy.__dict__.update({name: value for name, value in vars(module).items() if name not in hidden})
    return copy


real, copies = builtins.__import__, {name: as_on_windows(sys.modules[name], names) for name, names in NAMES.items()}


def imports(name, globals=None, locals=None, fromlist=(), level=0):
    if globals is not None and not level and str(globals.get("__name__")).startswith("wavix_async"):
        if name in MODULES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        if name == "msvcrt":
            return msvcrt
        if name in copies:
            return copies[name]
    return real(name, globals, locals, fromlist, level)


builtins.__import__ = imports
import wavix_async

packages = pkgutil.walk_packages(wavix_async.__path__, "wavix_async.")
names = [each.name for each in packages if "__main__" not in each.name]
for name in names:
    importlib.import_module(name)
assert len(names) > 150, names
assert not hasattr(sys.modules["wavix_async._aio.file_lock"], "fcntl")

from wavix_async._aio import Lock, is_held

path = Path(sys.argv[1]) / "run.sqlite"
with Lock(path):
    try:
        Lock(path)
    except BlockingIOError:
        print(len(names))
"""


@pytest.mark.req_35
def test_every_module_is_imported_without_what_windows_lacks(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, str(tmp_path)], capture_output=True, text=True, cwd=Path(__file__).parents[2]
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip().isdigit()
