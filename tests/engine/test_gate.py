"""The gate: writers of all threads and processes take turns, and nobody waits for ever."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from datalayer.engine.gate import FileGate, Gate, ThreadGate

_spawn = multiprocessing.get_context("spawn")


def hold(path: str, held: Any, release: Any) -> None:
    """Hold the gate of a database in another process."""
    gate = FileGate(Path(path))
    gate.enter(10)
    held.set()
    release.wait(30)
    gate.leave()


@pytest.fixture
def holder(tmp_path: Path) -> Any:
    held, release = _spawn.Event(), _spawn.Event()
    process = _spawn.Process(target=hold, args=(str(tmp_path / "app.db"), held, release))
    process.start()
    assert held.wait(30)
    process.release = release  # type: ignore[attr-defined]
    yield process
    if process.is_alive():  # an Event waits for its waiters, a killed one for ever
        release.set()
        process.join(10)


@pytest.mark.parametrize("kind", ["file", "thread"])
def test_one_thread_at_a_time_is_inside(kind: str, tmp_path: Path) -> None:
    gate: Gate = FileGate(tmp_path / "app.db") if kind == "file" else ThreadGate()
    inside, most = [0], [0]

    def work() -> None:
        for _ in range(200):
            assert gate.enter(10)
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            inside[0] -= 1
            gate.leave()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert most == [1]
    gate.close()


def test_waiting_for_another_process_ends_when_the_time_is_over(tmp_path: Path, holder: Any) -> None:
    gate = FileGate(tmp_path / "app.db")
    started = monotonic()

    assert not gate.enter(0.05)
    assert monotonic() - started < 5
    gate.close()


def test_who_gave_up_leaves_the_gate_to_the_next_one(tmp_path: Path, holder: Any) -> None:
    gate = FileGate(tmp_path / "app.db")
    assert not gate.enter(0.01)
    assert not gate.enter(0.01)

    holder.release.set()
    assert gate.enter(10)
    gate.leave()
    other = FileGate(tmp_path / "app.db")
    assert other.enter(10)
    other.leave()
    gate.close()
    other.close()


def test_an_abandoned_wait_gives_the_lock_back_when_it_comes(tmp_path: Path, holder: Any) -> None:
    gate, other = FileGate(tmp_path / "app.db"), FileGate(tmp_path / "app.db")
    assert not gate.enter(0.01)

    holder.release.set()
    assert other.enter(10)
    other.leave()
    assert gate.enter(10)
    gate.leave()
    gate.close()
    other.close()


def test_the_gate_opens_when_its_holder_is_killed(tmp_path: Path, holder: Any) -> None:
    gate = FileGate(tmp_path / "app.db")
    waiting = threading.Thread(target=lambda: results.append(gate.enter(20)))
    results: list[bool] = []
    waiting.start()
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    waiting.join()

    assert results == [True]
    gate.leave()
    gate.close()


def test_ctrl_c_while_waiting_leaves_the_gate_usable(tmp_path: Path, holder: Any) -> None:
    gate = FileGate(tmp_path / "app.db")
    timer = threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        gate.enter(30)
    timer.join()

    holder.release.set()
    assert gate.enter(10)
    gate.leave()
    gate.close()


def test_without_a_place_for_its_file_the_gate_still_orders_threads(tmp_path: Path) -> None:
    gate = FileGate(tmp_path / "nowhere" / "app.db")

    assert gate.enter(1)
    taken: list[bool] = []
    thread = threading.Thread(target=lambda: taken.append(gate.enter(0.01)))
    thread.start()
    thread.join()
    assert taken == [False]
    gate.leave()
    gate.close()
