"""The demo's work in builder: a page comes of a chat, is copied, and put back as it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datalayer.store import Store

__all__ = ["work"]


def work(store: Store) -> tuple[str, dict[str, Any]]:
    """Post messages, write files, copy the thread, change the copy, put a snapshot back."""
    user = store.accounts.sign_up(display_name="Demo").id
    builder = store.builder
    first = {"index.html": "<h1>Shop</h1>\n", "style.css": "h1 { color: teal }\n"}
    thread = builder.create_thread(user, "Shop", template="static", files=first)
    other = builder.create_thread(user, "Blog", template="nextjs")
    builder.post_message(thread.id, "user", "A basket, please", user_id=user, mentions=["index.html"])
    builder.write_files(thread.id, {"basket.js": "export const basket = []\n"}, user_id=user)
    builder.post_message(thread.id, "assistant", "There is one now.", user_id=user)
    copied = builder.duplicate(thread.id, user_id=user, title="Shop, second try")
    taken = builder.snapshot(copied.id, user_id=user)
    builder.rename_file(copied.id, "basket.js", "cart.js", user_id=user)
    builder.delete_file(copied.id, "style.css", user_id=user)
    builder.write_files(copied.id, taken, user_id=user, replace=True)
    builder.delete_thread(other.id, user_id=user)
    facts = {
        "threads": [one.title for one in builder.page_for_user(user).items],
        "files": sorted(builder.snapshot(copied.id, user_id=user)),
        "messages": len(builder.history(copied.id, user_id=user).items),
        "put_back": builder.snapshot(copied.id, user_id=user) == taken,
    }
    return "a page came of a chat, its thread was copied, changed, and put back from a snapshot", facts
