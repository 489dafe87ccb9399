"""What processes do with attachments: attach and delete the same few contents, and collect, all at once."""

from __future__ import annotations

import random
import sys
from datetime import timedelta

from datalayer import connect

__all__ = ["main"]


def main(target: str, data_dir: str, user_id: str, seed: str) -> None:
    """Work for a while; what is attached must be readable at once and until it is deleted."""
    chance = random.Random(int(seed))
    held: dict[str, bytes] = {}
    with connect(target, data_dir=data_dir) as store:
        for _ in range(60):
            act = chance.random()
            if act < 0.5 or not held:
                content = b"content %d" % chance.randrange(4)
                held[store.attachments.attach(user_id, "a", content).id] = content
            elif act < 0.85:
                key = chance.choice(sorted(held))
                assert store.attachments.read(key, user_id=user_id) == held.pop(key)
                store.attachments.delete_own(key, user_id=user_id)
            else:
                store.attachments.collect(older_than=timedelta(seconds=-60))
        for key, content in held.items():
            assert store.attachments.read(key, user_id=user_id) == content


if __name__ == "__main__":
    main(*sys.argv[1:])
