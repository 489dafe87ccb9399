"""What users set for themselves, their files for the coding agent, and the settings of the whole app."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, Unpack

import peewee

from datalayer.repository.fields import IdField, JSONField
from datalayer.repository.mixins import Timestamps
from datalayer.repository.owned import Once, Owned, PerUser

__all__ = [
    "OpencodeConfigs",
    "OpencodeFiles",
    "PreferenceChanges",
    "Preferences",
    "Setting",
    "Settings",
    "UserOpencodeConfig",
    "UserOpencodeFile",
    "UserPreferences",
]


class UserPreferences(Timestamps):
    """How a user wants the app; the database counts the changes in `settings_version`."""

    user_id = peewee.TextField(primary_key=True)
    theme_mode = peewee.TextField(default="auto")
    theme_preset = peewee.TextField(default="default")
    default_resource_tier_id = peewee.TextField(null=True)
    default_flavor_id = peewee.TextField(null=True)
    default_addon_ids = JSONField(default=list)
    default_agent_id = peewee.TextField(null=True)
    in_app_notifications = peewee.BooleanField(default=True)
    system_notifications = peewee.BooleanField(default=True)
    settings_version = peewee.IntegerField(default=1)

    class Meta:
        """Where it is stored."""

        table_name = "user_preferences"


class UserOpencodeConfig(Timestamps):
    """A user's configuration of the coding agent, in every sandbox."""

    user_id = peewee.TextField(primary_key=True)
    global_config = JSONField(default=dict)
    permissions = JSONField(default=dict)

    class Meta:
        """Where it is stored."""

        table_name = "user_opencode_config"


class UserOpencodeFile(Timestamps):
    """A user's agent, command, tool or plugin for the coding agent, as a file."""

    id = IdField()
    user_id = peewee.TextField()
    type = peewee.TextField()
    name = peewee.TextField()
    extension = peewee.TextField(default="md")
    content = peewee.TextField(default="")

    class Meta:
        """Where it is stored."""

        table_name = "user_opencode_files"


class Setting(Timestamps):
    """A setting of the whole app: any JSON value under a key."""

    key = peewee.TextField(primary_key=True)
    value = JSONField()
    description = peewee.TextField(default="")

    class Meta:
        """Where it is stored."""

        table_name = "settings"


class PreferenceChanges(TypedDict, total=False):
    """What a user may prefer."""

    theme_mode: str
    theme_preset: str
    default_resource_tier_id: str | None
    default_flavor_id: str | None
    default_addon_ids: Sequence[str]
    default_agent_id: str | None
    in_app_notifications: bool
    system_notifications: bool


class Preferences(PerUser[UserPreferences]):
    """`store.sandboxes.preferences`: one row for each user who ever changed something.

    `settings_version` is 0 while nothing was changed, and one more with each write that changes anything;
    none is lost, however many write at once.
    """

    def change(self, user_id: str, **changes: Unpack[PreferenceChanges]) -> UserPreferences:
        """Write what is given of a user's preferences, and give them as they are then.

        Raises:
            CheckViolation: the theme's mode is unknown.
            ForeignKeyViolation: there is no such user, tier or flavor.
        """
        return self._change(user_id, changes) if changes else self.for_user(user_id)

    def is_out_of_sync(self, user_id: str, known_version: int) -> bool:
        """Say whether a user's preferences are not those of the version that somebody knows."""
        sql = f"SELECT settings_version FROM {self.shape.table} WHERE user_id = ?"
        found = self.engine.fetch_one(self.engine.dialect.sql(sql), (user_id,))
        return known_version != (int(found[0]) if found else 0)

    def _defaults(self, user_id: str) -> UserPreferences:
        return UserPreferences(user_id=user_id, settings_version=0)


class OpencodeConfigs(PerUser[UserOpencodeConfig]):
    """`store.sandboxes.opencode_config`: one row for each user who ever wrote one."""

    def write(
        self,
        user_id: str,
        *,
        global_config: Mapping[str, Any] | None = None,
        permissions: Mapping[str, Any] | None = None,
    ) -> UserOpencodeConfig:
        """Replace the parts that are given, leaving the others, and give the whole.

        Raises:
            ForeignKeyViolation: there is no such user.
        """
        given = {"global_config": global_config, "permissions": permissions}
        changes = {name: value for name, value in given.items() if value is not None}
        return self._change(user_id, changes) if changes else self.for_user(user_id)


class OpencodeFiles(Owned[UserOpencodeFile]):
    """`store.sandboxes.opencode_files`: at most one file of a type and name for each user."""

    def write(
        self, user_id: str, type_: str, name: str, content: str, *, extension: str = "md"
    ) -> UserOpencodeFile:
        """Write a file, replacing the one that the user has under this type and name, and give it.

        Raises:
            CheckViolation: the type or extension is unknown, or the name is empty.
            ForeignKeyViolation: there is no such user.
        """
        return self.upsert(
            user_id=user_id,
            type=type_,
            name=name,
            content=content,
            extension=extension,
            on=("user_id", "type", "name"),
        )

    def read(self, user_id: str, type_: str, name: str) -> UserOpencodeFile:
        """Give a user's file.

        Raises:
            NotFound: the user has none of this type and name.
        """
        return self.one(user_id=user_id, type=type_, name=name)

    def list_for_user(self, user_id: str, type_: str | None = None) -> list[UserOpencodeFile]:
        """Give a user's files, of one type or of all, by type and name."""
        order = ("type", "name")
        if type_ is None:
            return self.find(user_id=user_id, order_by=order)
        return self.find(user_id=user_id, type=type_, order_by=order)

    def rename(self, key: str, name: str, *, user_id: str) -> UserOpencodeFile:
        """Give a user's file another name.

        Raises:
            NotFound: there is none, or it is another user's.
            UniqueViolation: the user has a file of this type and name.
        """
        return self._edit(key, user_id, {"name": name})


class Settings(Once[Setting]):
    """`store.sandboxes.settings`: what counts for the whole app, under keys."""

    def value_of(self, key: str, default: Any = None) -> Any:
        """Give a setting's value, or the default where there is none."""
        found = self.get_or_none(key)
        return default if found is None else found.value

    def put(self, key: str, value: Any, *, description: str | None = None) -> Setting:
        """Write a setting and give it; without a `description` that of before stays.

        Raises:
            CheckViolation: the key is empty, or JSON cannot hold the value.
        """
        changes = {"value": value} if description is None else {"value": value, "description": description}
        with self.engine.transaction():
            while not self.update_where(key=key, changes=changes):
                made = self.add_unless(("key",), {**changes, "key": key})
                if made is not None:
                    return made
            return self.get(key)
