"""Settings of the whole app: three with a type and a default of their own, and whatever else the app keeps.

The database holds the types of the three, so that no other program stores a mode that is neither on nor off.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, TypedDict, Unpack, cast

import peewee

from datalayer.engine.connection import Engine
from datalayer.errors import CheckViolation
from datalayer.repository.base import Repository
from datalayer.repository.fields import JSONField, decode_micros, encode_micros
from datalayer.repository.mixins import Timestamps

__all__ = ["SettingChanges", "Settings", "SystemSetting", "SystemSettings"]

_MODE: Final = "maintenance_mode"
_MOST: Final = "max_ai_cost_per_user_daily"
_RATE: Final = "default_rate_limit"


class SystemSetting(Timestamps):
    """A stored setting; money is a number of millionths. One that has its default may have no row."""

    key = peewee.TextField(primary_key=True)
    value = JSONField()
    updated_by = peewee.TextField(null=True)

    class Meta:
        """Where it is stored."""

        table_name = "system_settings"


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemSettings:
    """The three settings at one moment.

    `max_ai_cost_per_user_daily` None is no limit. `default_rate_limit` counts requests a minute.
    """

    maintenance_mode: bool = False
    max_ai_cost_per_user_daily: Decimal | None = Decimal(10)
    default_rate_limit: int = 60


class SettingChanges(TypedDict, total=False):
    """New values of the three settings."""

    maintenance_mode: bool
    max_ai_cost_per_user_daily: Decimal | None
    default_rate_limit: int


class Settings(Repository[SystemSetting]):
    """`store.workspaces.settings`."""

    def __init__(
        self,
        engine: Engine,
        model: type[SystemSetting] | None = None,
        *,
        data_dir: Path | None = None,
        defaults: SystemSettings | None = None,
    ) -> None:
        super().__init__(engine, model, data_dir=data_dir)
        self.defaults = defaults or SystemSettings()

    def read(self) -> SystemSettings:
        """Give the three settings as they are now, in one query; what is not stored has its default."""
        stored = {row.key: row.value for row in self.find(key=[_MODE, _MOST, _RATE])}
        values: dict[str, Any] = {
            _MODE: stored.get(_MODE, self.defaults.maintenance_mode),
            _MOST: self.defaults.max_ai_cost_per_user_daily,
            _RATE: stored.get(_RATE, self.defaults.default_rate_limit),
        }
        if _MOST in stored:
            values[_MOST] = None if stored[_MOST] is None else decode_micros(stored[_MOST])
        return SystemSettings(**values)

    def change(self, *, updated_by: str | None = None, **changes: Unpack[SettingChanges]) -> SystemSettings:
        """Store some of the three, all or none, and give them all.

            store.workspaces.settings.change(maintenance_mode=True, updated_by=admin_id)

        Raises:
            CheckViolation: a value of another type, an amount or a rate below 0, or another name.
            ForeignKeyViolation: there is no such user.
        """
        rows = [
            {"key": name, "value": _stored(name, value), "updated_by": updated_by}
            for name, value in changes.items()
        ]
        with self.engine.transaction():
            self.upsert_many(rows)
            return self.read()

    def restore_defaults(self) -> SystemSettings:
        """Forget what is stored of the three, and give their defaults."""
        self.delete_where(key=[_MODE, _MOST, _RATE])
        return self.defaults

    def get_value(self, key: str, default: Any = None) -> Any:
        """Give the stored value of one of the app's own settings, or the default where there is none."""
        row = self.get_or_none(key)
        return default if row is None else row.value

    def set_value(self, key: str, value: Any, *, updated_by: str | None = None) -> None:
        """Store one of the app's own settings: anything that JSON can hold.

        Raises:
            CheckViolation: not JSON, an empty key, or one of the three, which `change` takes.
            ForeignKeyViolation: there is no such user.
        """
        if key in _CHECKED:
            raise CheckViolation(f"{key} has a type of its own", hint=f"change({key}=...)")
        self.upsert(key=key, value=value, updated_by=updated_by)


def _mode(value: object) -> bool:
    if not isinstance(value, bool):
        raise _wrong(_MODE, value, "True or False")
    return value


def _most(value: object) -> int | None:
    if value is None:
        return None
    micros = encode_micros(value)
    if micros < 0:
        raise _wrong(_MOST, value, "an amount from 0 on, or None for no limit")
    return micros


def _rate(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise _wrong(_RATE, value, "a whole number from 0 on")
    return value


_CHECKED: Mapping[str, Any] = {_MODE: _mode, _MOST: _most, _RATE: _rate}


def _stored(name: str, value: object) -> Any:
    if name not in _CHECKED:
        raise CheckViolation(f"{name} is none of the settings {', '.join(_CHECKED)}", hint="use set_value()")
    return _CHECKED[name](value)


def _wrong(name: str, value: object, wanted: str) -> CheckViolation:
    return CheckViolation(
        f"{name} cannot be {cast('Any', value)!r}",
        table="system_settings",
        columns=("value",),
        hint=f"give {wanted}",
    )
