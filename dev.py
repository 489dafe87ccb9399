#!/usr/bin/env python3
"""Run datalayer's demo, tests, linters and benchmarks from a bare checkout.

    python3 dev.py demo  [arguments of `datalayer demo`]
    python3 dev.py test  [arguments of pytest]
    python3 dev.py lint  [--fix]
    python3 dev.py bench [arguments of the benchmarks]

Makes .venv beside this file once, and again when the interpreter, pyproject.toml or setup.cfg changes.
Standard library only; must parse on Python 3.8, to be able to say that it is too old.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

OLDEST = (3, 11)
NEWER_NAMES = ("python3.14", "python3.13", "python3.12", "python3.11")
ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
STAMP = VENV / "datalayer-dev.json"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
EXTRAS = {"demo": (), "test": ("test",), "lint": ("test",), "bench": ("bench",)}
PROBE = f"import sys; print(sys.version_info[:2] >= {OLDEST!r}); import ensurepip"


def main(arguments):
    if not arguments or arguments[0] not in EXTRAS:
        print((__doc__ or "").strip(), file=sys.stderr)
        return 0 if arguments[:1] in (["-h"], ["--help"]) else 2
    command, rest = arguments[0], arguments[1:]
    try:
        prepare(EXTRAS[command])
        return COMMANDS[command](rest)
    except Refused as refusal:
        print(f"dev.py: {refusal}", file=sys.stderr)
        return 1


class Refused(Exception):
    """Said in one line; what to do is part of it."""


def prepare(extras):
    """Make the virtual environment unless it is there, and add the extras that are missing."""
    wanted = fingerprint()
    stamp = read_stamp()
    if stamp.get("fingerprint") != wanted or not PYTHON.exists():
        # an activated .venv cannot make itself again: it is about to be removed
        is_inside = VENV in Path(sys.executable).parents
        python = getattr(sys, "_base_executable", sys.executable) if is_inside else sys.executable
        say(f"making .venv with {python}")
        if VENV.exists():
            shutil.rmtree(str(VENV))
        run_quietly([python, "-m", "venv", str(VENV)], "cannot make .venv")
        stamp = {"fingerprint": wanted, "extras": None}
    installed = stamp["extras"]
    if installed is not None and set(extras) <= set(installed):
        return
    together = sorted(set(installed or ()) | set(extras))
    target = f".[{','.join(together)}]" if together else "."
    say(f"installing datalayer{target[1:]} into .venv (once)")
    pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run_quietly([*pip, "--editable", target], "cannot install; is a package index in reach?")
    STAMP.write_text(json.dumps({"fingerprint": wanted, "extras": together}), encoding="utf-8")


def fingerprint():
    digest = hashlib.sha256()
    digest.update(f"{Path(sys.executable).resolve()} {sys.version} {ROOT}".encode())
    for name in ("pyproject.toml", "setup.cfg"):
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def read_stamp():
    try:
        return json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def demo(arguments):
    return run([str(PYTHON), "-m", "datalayer", "demo", *arguments])


def test(arguments):
    parallel = [] if "--pdb" in arguments else ["-n", str(min(os.cpu_count() or 1, 8)), "--dist=worksteal"]
    return run([str(PYTHON), "-m", "pytest", *parallel, *arguments])


def lint(arguments):
    is_fix = arguments == ["--fix"]
    if arguments and not is_fix:
        raise Refused("lint takes --fix and nothing else")
    steps = (
        ["ruff", "check", *(["--fix"] if is_fix else []), "."],
        ["ruff", "format", *([] if is_fix else ["--check"]), "."],
        ["pyright", "--pythonpath", str(PYTHON)],
    )
    # all of them, so that one run tells everything
    codes = [run([str(PYTHON), "-m", *step]) for step in steps]
    return max(codes)


def bench(arguments):
    return run([str(PYTHON), "-m", "benchmarks", *arguments])


COMMANDS = {"demo": demo, "test": test, "lint": lint, "bench": bench}


def run(command):
    """Run a command in the checkout and return its exit code as a shell would."""
    say(" ".join([Path(command[0]).name, *command[1:]]))
    # .venv's own programs come first: pyright starts the node that is installed there
    path = os.pathsep.join([str(PYTHON.parent), os.environ.get("PATH", os.defpath)])
    environment = dict(os.environ, PATH=path, VIRTUAL_ENV=str(VENV), PYRIGHT_PYTHON_IGNORE_WARNINGS="1")
    with subprocess.Popen(command, cwd=str(ROOT), env=environment) as child:
        while True:
            try:
                code = child.wait()
                return code if code >= 0 else 128 - code
            except KeyboardInterrupt:
                pass  # the child got it too; its exit code is what counts


def run_quietly(command, complaint):
    done = subprocess.run(
        command,
        check=False,
        cwd=str(ROOT),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if done.returncode != 0:
        sys.stderr.buffer.write(done.stdout)
        raise Refused(complaint)


def say(step):
    print(f"dev.py: {step}", file=sys.stderr, flush=True)


def is_usable(python):
    """Tell whether an interpreter is new enough, and whether it can make a virtual environment with pip."""
    try:
        probe = subprocess.run(
            [python, "-c", PROBE], check=False, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
    except OSError:
        return False, False
    is_new = probe.stdout.strip() == b"True"
    return is_new, is_new and probe.returncode == 0


def choose_interpreter():
    """Return the interpreter to work with: this one if it will do, else a newer one on PATH."""
    names = [sys.executable] + [found for found in map(shutil.which, NEWER_NAMES) if found]
    is_any_new = False
    for python in names:
        is_new, is_complete = is_usable(python)
        if is_complete:
            return python
        is_any_new = is_any_new or is_new
    if is_any_new:
        raise Refused("python has no ensurepip to make .venv with; on Debian: apt-get install python3-venv")
    present = sys.version.split()[0]
    raise Refused(
        f"needs Python {OLDEST[0]}.{OLDEST[1]} or newer; this is {present}, and PATH has no newer one"
    )


if __name__ == "__main__":
    try:
        chosen = choose_interpreter()
    except Refused as refused:
        sys.exit(f"dev.py: {refused}")
    if chosen != sys.executable:
        os.execv(chosen, [chosen, str(Path(__file__).resolve()), *sys.argv[1:]])
    sys.exit(main(sys.argv[1:]))
