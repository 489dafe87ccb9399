"""Own one private PostgreSQL server and end with the last process that uses it.

Started by path, as ``python -I -S _postgres_supervisor.py JSON``, by `datalayer.testing.postgres`; it must
not import anything of the package, because it runs without site-packages and, when the tests run as root, as
another user.

Standard input is the reading end of a FIFO whose writing ends are held by every process that uses the server.
The kernel closes those when a process ends, however it ends (kill -9 too), so end of file here means that
nobody is left. Standard output carries one JSON line, ``{"port": N}`` when the server is ready or ``{"error":
"..."}``, and stays open until the server and its folder are gone.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

__all__: list[str] = []

_START_TIMEOUT_S = 30.0
_PORT_TRIES = 10
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class _StartFailed(Exception):
    """The server could not be made ready; the text says why."""


def _drop_privileges(user: int | None, group: int | None) -> None:
    if user is None or group is None:
        return
    os.setgroups([])
    os.setgid(group)
    os.setuid(user)


def _tail(log: Path) -> str:
    if not log.exists():
        return ""
    return " | ".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-5:])


def _initialise(binaries: Path, folder: Path, locale: list[str]) -> None:
    """Make the cluster: superuser postgres, trust on the socket, SCRAM over TCP."""
    password = folder / "password"
    log = folder / "initdb.log"
    command = [
        str(binaries / "initdb"),
        *("--pgdata", str(folder / "data"), "--username", "postgres", "--pwfile", str(password)),
        *("--encoding", "UTF8", *locale, "--no-sync", "--no-instructions"),
        *("--auth-local", "trust", "--auth-host", "scram-sha-256"),
    ]
    with log.open("wb") as output:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False)
    password.unlink()
    if done.returncode != 0:
        raise _StartFailed(f"initdb ended with exit code {done.returncode}: {_tail(log)}")


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _end_with_parent() -> None:
    # kill -9 of this supervisor must not leave a server behind; only Linux can say so
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)


def _launch(binaries: Path, folder: Path, port: int, settings: dict[str, str]) -> subprocess.Popen[bytes]:
    options = {**settings, "port": str(port), "unix_socket_directories": str(folder)}
    arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    with (folder / "server.log").open("ab") as output:
        return subprocess.Popen(
            [str(binaries / "postgres"), "-D", str(folder / "data"), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # a session of its own: Ctrl-C in the terminal is for the tests
            start_new_session=True,
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 one thread here
        )


def _wait_until_ready(server: subprocess.Popen[bytes], folder: Path) -> bool:
    """Return True when the server accepts connections, False when it ended before."""
    status = folder / "data" / "postmaster.pid"
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline:
        if server.poll() is not None:
            return False
        if status.exists():
            # the eighth line is the state: "starting", "ready", ...
            lines = status.read_text(encoding="utf-8", errors="replace").splitlines()
            if len(lines) > 7 and lines[7].strip() == "ready":
                return True
        time.sleep(0.005)
    server.kill()
    server.wait()
    raise _StartFailed(
        f"the server was not ready after {_START_TIMEOUT_S:.0f} s: {_tail(folder / 'server.log')}"
    )


def _start(binaries: Path, folder: Path, settings: dict[str, str]) -> tuple[subprocess.Popen[bytes], int]:
    log = folder / "server.log"
    for _ in range(_PORT_TRIES):
        # between our finding a free port and the server's binding it somebody else may take it
        port = _free_port()
        log.unlink(missing_ok=True)
        server = _launch(binaries, folder, port, settings)
        if _wait_until_ready(server, folder):
            return server, port
        if "could not bind" not in log.read_text(encoding="utf-8", errors="replace"):
            break
    raise _StartFailed(f"the server ended while starting: {_tail(log)}")


def _has_users() -> bool:
    """Tell whether a process still holds the writing end of the FIFO."""
    try:
        return os.read(0, 64) != b""
    except BlockingIOError:
        return True


def _wait_for_the_last_user(server: subprocess.Popen[bytes], fifo: Path) -> None:
    while server.poll() is None:
        readable, _, _ = select.select([0], [], [], 1.0)
        if not readable or _has_users():
            continue
        # nobody can join once the name is gone; whoever joined just before is seen by the second look
        fifo.unlink(missing_ok=True)
        if not _has_users():
            return


def _stop(server: subprocess.Popen[bytes]) -> None:
    if server.poll() is None:
        # immediate shutdown: the data is thrown away, so no checkpoint is wanted
        server.send_signal(signal.SIGQUIT)
        try:
            server.wait(timeout=5)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _report(**message: object) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def _on_signal(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)


def _supervise(binaries: Path, folder: Path, locale: list[str], settings: dict[str, str]) -> int:
    try:
        _initialise(binaries, folder, locale)
        server, port = _start(binaries, folder, settings)
    except (_StartFailed, OSError) as error:
        _report(error=str(error))
        return 1
    try:
        _report(port=port)
        _wait_for_the_last_user(server, folder / "alive")
    finally:
        _stop(server)
    return 0


def _main(argument: str) -> int:
    job = json.loads(argument)
    folder = Path(job["folder"])
    if os.fork() > 0:
        return 0  # nobody's child: who shares the server may end before it does, and has nothing to reap
    signal.signal(signal.SIGTERM, _on_signal)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    os.umask(0o077)
    os.set_blocking(0, False)
    try:
        _drop_privileges(job["user"], job["group"])
        os.chdir(folder)
        return _supervise(Path(job["binaries"]), folder, job["locale"], job["settings"])
    finally:
        os.chdir("/")
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1]))
