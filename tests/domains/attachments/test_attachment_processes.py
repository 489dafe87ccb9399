"""Eight processes attach, delete and collect the same contents: nothing that is held ever goes."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from support.source_tree import ROOT

from datalayer import connect

WORKER = Path(__file__).with_name("workers.py")

pytestmark = pytest.mark.slow


def test_collecting_beside_writers_loses_nothing(database: str, tmp_path: Path) -> None:
    data_dir = tmp_path / "files"
    with connect(database, data_dir=data_dir) as store:
        user = store.accounts.sign_up("ann@example.org").id
        workers = [
            subprocess.Popen(
                [sys.executable, str(WORKER), database, str(data_dir), user, str(seed)],
                cwd=ROOT,
                stderr=subprocess.PIPE,
                text=True,
            )
            for seed in range(8)
        ]
        said = [worker.communicate(timeout=240)[1] for worker in workers]
        assert [worker.returncode for worker in workers] == [0] * 8, said

        assert [one for one in store.check() if one.id.startswith("DL-C32")] == []
        for held in store.attachments.find():
            store.attachments.delete_own(held.id, user_id=user)
        store.attachments.collect(older_than=timedelta(seconds=-60))
        assert [path for path in data_dir.rglob("*") if path.is_file()] == []
