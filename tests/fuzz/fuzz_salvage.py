"""Fuzz the page reader: databases changed byte by byte, until it breaks a rule of `fuzz.verdict`.

    python tests/fuzz/fuzz_salvage.py --minutes 60 --corpus tests/fuzz/corpus

With atheris (`pip install atheris`; no dependency of the project) inputs that reach new lines are kept and
built upon; without it those that lead to a new kind of outcome are. What broke a rule is made small and kept
in corpus/findings (by hand in corpus/open, as long as it still breaks one), what reached something new in
corpus/coverage; tests/schema/salvage/test_fuzz_corpus.py tries all of it again. Needs Linux.

Before new inputs are committed: `--thin`. Has run for 63 minutes in all (43 of them with atheris; 38,000
inputs), and 13,000 single bytes were changed one by one. Found and mended: an IndexError where a record's
header is cut off; one rowid or key given twice where a page stands in two places; a second spent on each
damaged frame of a log; a hot journal passed over for the page count in its header; a record shorter than its
payload that vanished without a word; a column that says ON CONFLICT REPLACE and took rows away in writing; a
stored CREATE TABLE ... AS SELECT that was run. The last 29 minutes, on a busy machine, found nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

try:
    import atheris
except ImportError:
    atheris: Any = None

if atheris is not None and "--plain" not in sys.argv:
    for name in ("change.layout", "snapshot"):
        # imported before, these are not counted: only lines of the reader itself make an input new
        importlib.import_module(f"datalayer.schema.{name}")
    with atheris.instrument_imports(include=["datalayer"]):
        for name in ("salvage.recover", "salvage.writer", "salvage.findings"):
            importlib.import_module(f"datalayer.schema.{name}")

from fuzz.recipe import CHANGE, HEAD, MOST_CHANGES, Input, cook, mutate, new_recipe
from fuzz.seeds import SEEDS, make_seed, pack_files
from fuzz.verdict import Verdict, judge

_PER_KEY = 2
Step = tuple[str, int, int]
_LONGEST = HEAD + CHANGE * MOST_CHANGES


class Run:
    """One run of the fuzzer: what it keeps, and what it counts."""

    def __init__(self, corpus: Path, minutes: float, folder: Path, log: Path | None) -> None:
        self.findings = corpus / "findings"
        self.coverage = corpus / "coverage"
        # left behind where the process itself dies or does not come back
        self.running = corpus / "running"
        self.folder = folder
        self.log = log
        self.start = self.logged = time.monotonic()
        self.end = self.start + minutes * 60
        self.outcomes = Counter[str]()
        self.broken = Counter[str]()
        self.messages: dict[str, str] = {}
        self.marks: set[str] = set()
        for place in (self.findings, self.coverage):
            place.mkdir(parents=True, exist_ok=True)

    def one(self, recipe: bytes) -> Verdict:
        """Try one input; keep it where it broke a rule in a place that few others did."""
        self.running.write_bytes(recipe)
        verdict = judge(cook(recipe), self.folder)
        self.outcomes[verdict.outcome] += 1
        for finding in verdict.findings:
            self.broken[finding.key] += 1
            self.messages.setdefault(finding.key, finding.message)
            if self.broken[finding.key] <= _PER_KEY:
                small = _named(self._minimised(recipe, finding.key))
                _keep(self.findings, small)
                self._say(f"{finding.key} | {finding.message[:200]} | {_name(small)}")
        if time.monotonic() - self.logged > 30:
            self.logged = time.monotonic()
            self._write_log()
        return verdict

    def _minimised(self, recipe: bytes, key: str) -> bytes:
        """Leave out changes, then set bytes to zero, as long as the same rule is broken in the same place."""
        if key.startswith(("hang", "memory")):
            return recipe
        until = time.monotonic() + 20
        place = len(recipe) - CHANGE
        while place >= HEAD and time.monotonic() < until:
            shorter = recipe[:place] + recipe[place + CHANGE :]
            if self._breaks(shorter, key):
                recipe = shorter
            place -= CHANGE
        for at in range(1, len(recipe)):
            if recipe[at] and time.monotonic() < until:
                simpler = recipe[:at] + b"\0" + recipe[at + 1 :]
                if self._breaks(simpler, key):
                    recipe = simpler
        return recipe

    def _breaks(self, recipe: bytes, key: str) -> bool:
        found = judge(cook(recipe), self.folder).findings
        return any(finding.key == key for finding in found)

    def plainly(self, chance: random.Random) -> None:
        """Mutate at random until the time is over, building upon what led to a new kind of outcome."""
        pool = [path.read_bytes() for path in sorted(self.coverage.iterdir())]
        for recipe in pool:
            self.marks |= self.one(recipe).marks
        while time.monotonic() < self.end:
            fresh = not pool or chance.random() < 0.3
            recipe = new_recipe(chance) if fresh else mutate(chance.choice(pool), chance.choice(pool), chance)
            marks = self.one(recipe).marks
            if not marks <= self.marks:
                self.marks |= marks
                pool.append(recipe)
                _keep(self.coverage, recipe)

    def guided(self, seed: int) -> None:
        """Let libFuzzer choose, half of the time with our own mutations; does not return."""
        chance = random.Random(seed)
        pool = [new_recipe(chance) for _ in range(400)]

        def try_one(data: bytes) -> None:
            self.one(data)
            if time.monotonic() > self.end:
                # libFuzzer has no way back, and has kept its corpus already
                self.report()
                os._exit(0)

        def custom(data: bytes, size: int, number: int) -> bytes:
            draw = random.Random(number)
            if not data[HEAD:] or draw.random() < 0.1:
                return new_recipe(draw)[:size]
            if draw.random() < 0.6:
                return mutate(data, draw.choice(pool), draw)[:size]
            return bytes(atheris.Mutate(data, size))

        for recipe in pool[:150]:
            _keep(self.folder.parent / "start", recipe)
        arguments = [
            sys.argv[0], f"-seed={seed}", f"-max_len={_LONGEST}", "-timeout=120", "-rss_limit_mb=3000",
            "-print_final_stats=1", "-reload=0", f"-artifact_prefix={self.findings}/",
            "-report_slow_units=1000", "-len_control=0", "-handle_xfsz=0",
            str(self.coverage), str(self.findings), str(self.folder.parent / "start"),
        ]  # fmt: skip
        atheris.Setup(arguments, try_one, custom_mutator=custom)
        atheris.Fuzz()

    def thin(self) -> None:
        """Leave in coverage only what takes a step from line to line that nothing before it took."""
        known: set[Step] = set()
        for path in sorted(self.coverage.iterdir(), key=lambda path: (path.stat().st_size, path.name)):
            steps = _steps(cook(path.read_bytes()), self.folder)
            if steps <= known:
                path.unlink()
            known |= steps
        print(f"{len(list(self.coverage.iterdir()))} inputs take {len(known)} steps", flush=True)

    def report(self) -> None:
        """Say what was done and what was found."""
        self.running.unlink(missing_ok=True)
        print(self._summary(), flush=True)

    def _summary(self) -> str:
        minutes = (time.monotonic() - self.start) / 60
        lines = [f"{self.outcomes.total()} inputs in {minutes:.1f} min: {dict(self.outcomes)}"]
        for key, count in self.broken.most_common():
            lines.append(f"{count:7} {key} | {self.messages[key][:300]}")
        return "\n".join(lines)

    def _say(self, text: str) -> None:
        print(text, flush=True)
        self._write_log()

    def _write_log(self) -> None:
        if self.log is not None:
            self.log.write_text(self._summary() + "\n")


def _steps(given: Input, folder: Path) -> set[Step]:
    """Give the steps from line to line that the reader takes on an input."""
    steps: set[Step] = set()

    def enter(frame: FrameType, event: str, argument: object) -> Callable[..., Any] | None:
        name = frame.f_code.co_filename
        if "salvage" not in name or "datalayer" not in name:
            return None
        last = frame.f_lineno

        def step(frame: FrameType, event: str, argument: object) -> Callable[..., Any]:
            nonlocal last
            steps.add((name, last, frame.f_lineno))
            last = frame.f_lineno
            return step

        return step

    before = sys.gettrace()
    sys.settrace(enter)
    try:
        judge(given, folder, cpu_s=60)
    finally:
        sys.settrace(before)
    return steps


def _name(recipe: bytes) -> str:
    return hashlib.sha256(recipe).hexdigest()[:20]


def _keep(place: Path, recipe: bytes) -> None:
    recipe = _named(recipe)
    place.mkdir(exist_ok=True)
    (place / _name(recipe)).write_bytes(recipe)


def _named(recipe: bytes) -> bytes:
    """Give a recipe with its seed's own number, so that it stays what it is when seeds are added."""
    return bytes([recipe[0] % len(SEEDS)]) + recipe[1:] if recipe else b""


def _make_seeds(corpus: Path) -> None:
    (corpus / "seeds").mkdir(parents=True, exist_ok=True)
    for seed in SEEDS:
        (corpus / "seeds" / seed.name).write_bytes(pack_files(make_seed(seed)))


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--corpus", type=Path, default=Path(__file__).parent / "corpus")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plain", action="store_true", help="do without atheris")
    parser.add_argument("--log", type=Path, help="a file to write the numbers to every half minute")
    parser.add_argument("--try", dest="tried", type=Path, nargs="+", help="try inputs of the corpus and stop")
    parser.add_argument(
        "--thin", action="store_true", help="leave out what reaches nothing of its own, and stop"
    )
    parser.add_argument("--make-seeds", action="store_true", help="make the seeds anew and stop")
    options = parser.parse_args()
    if options.make_seeds:
        _make_seeds(options.corpus)
        return
    with tempfile.TemporaryDirectory() as name, suppress(KeyboardInterrupt):
        folder = Path(name, "trial")
        folder.mkdir()
        run = Run(options.corpus, options.minutes, folder, options.log)
        if options.tried:
            for path in options.tried:
                print(path.name, judge(cook(path.read_bytes()), folder))
        elif options.thin:
            run.thin()
        elif atheris is None or options.plain:
            run.plainly(random.Random(options.seed))
            run.report()
        else:
            run.guided(options.seed)


if __name__ == "__main__":
    main()
