"""The journals of other migration tools: their tables as the tools themselves make them, with rows.

Each has the folder's first two files applied, 0001_users and 0002_age, in that tool's own words.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["JOURNALS", "ForeignCase", "cases", "sqitch_registry"]


@dataclass(frozen=True, slots=True)
class ForeignCase:
    """One tool on one engine: the statements that make its journal, and what a reader should find."""

    tool: str
    engine: str
    sql: tuple[str, ...]
    table: str
    names: tuple[str, ...]

    @property
    def label(self) -> str:
        return f"{self.tool}-{self.engine}"


_BOTH = ("sqlite", "postgresql")
_SQLITE = ("sqlite",)
_POSTGRES = ("postgresql",)

_DRIZZLE_ROWS = (
    "INSERT INTO {table} (hash, created_at) VALUES ('aa', 1700000000000)",
    "INSERT INTO {table} (hash, created_at) VALUES ('bb', 1700000001000)",
)
_PRISMA_ROWS = (
    "INSERT INTO _prisma_migrations (id, checksum, finished_at, migration_name, logs,"
    " rolled_back_at, started_at,"
    " applied_steps_count) VALUES ('1', 'aa', '2024-01-02 10:00:01', '0001_users', NULL, NULL,"
    " '2024-01-02 10:00:00', 1)",
    "INSERT INTO _prisma_migrations (id, checksum, finished_at, migration_name, logs,"
    " rolled_back_at, started_at,"
    " applied_steps_count) VALUES ('2', 'bb', NULL, '0002_age', 'boom', '2024-01-02 10:01:01',"
    " '2024-01-02 10:01:00', 0)",
    "INSERT INTO _prisma_migrations (id, checksum, finished_at, migration_name, logs,"
    " rolled_back_at, started_at,"
    " applied_steps_count) VALUES ('3', 'bb', '2024-01-02 10:02:01', '0002_age', NULL, NULL,"
    " '2024-01-02 10:02:00', 1)",
)
_FLYWAY_ROWS = tuple(
    "INSERT INTO flyway_schema_history (installed_rank, version, description, type, script, checksum,"
    f" installed_by, execution_time, success) VALUES ({row})"
    for row in (
        "1, '1', 'users', 'SQL', 'V1__users.sql', 11, 'me', 5, {true}",
        "2, '2', 'age', 'SQL', 'V2__age.sql', 22, 'me', 5, {true}",
        "3, '3', 'oops', 'SQL', 'V3__oops.sql', 33, 'me', 5, {true}",
        "4, '3', 'oops', 'DELETE', 'V3__oops.sql', 33, 'me', 0, {true}",
    )
)
_SQITCH = (
    "CREATE TABLE {s}projects (project TEXT PRIMARY KEY, uri TEXT NULL UNIQUE, created_at TIMESTAMP NOT NULL,"
    " creator_name TEXT NOT NULL, creator_email TEXT NOT NULL)",
    "CREATE TABLE {s}changes (change_id TEXT PRIMARY KEY, script_hash TEXT NULL, change TEXT NOT NULL,"
    " project TEXT NOT NULL, note TEXT NOT NULL DEFAULT '', committed_at TIMESTAMP NOT NULL,"
    " committer_name TEXT NOT NULL, committer_email TEXT NOT NULL, planned_at TIMESTAMP NOT NULL,"
    " planner_name TEXT NOT NULL, planner_email TEXT NOT NULL, UNIQUE (project, script_hash))",
    "CREATE TABLE {s}events (event TEXT NOT NULL, change_id TEXT NOT NULL, change TEXT NOT NULL,"
    " project TEXT NOT NULL, committed_at TIMESTAMP NOT NULL, PRIMARY KEY (change_id, committed_at))",
    *(
        "INSERT INTO {s}changes (change_id, script_hash, change, project, committed_at, committer_name,"
        f" committer_email, planned_at, planner_name, planner_email) VALUES ('{key}',"
        f" '{digest}', '{change}', 'app',"
        f" '{time}', 'me', 'me@x', '2024-01-01 00:00:00', 'me', 'me@x')"
        for key, digest, change, time in (
            ("b", "h2", "age", "2024-01-02 10:00:01"),
            ("a", "h1", "users", "2024-01-02 10:00:00"),
        )
    ),
)

# tool, engines, statements by engine or for both, table as it is shown, names in order
JOURNALS: tuple[tuple[str, tuple[str, ...], tuple[str, ...], str, tuple[str, ...]], ...] = (
    (
        "drizzle",
        _SQLITE,
        (
            "CREATE TABLE __drizzle_migrations (id SERIAL PRIMARY KEY, hash text NOT NULL,"
            " created_at numeric)",
            *(row.format(table="__drizzle_migrations") for row in _DRIZZLE_ROWS),
        ),
        "__drizzle_migrations",
        ("aa", "bb"),
    ),
    (
        "drizzle",
        _POSTGRES,
        (
            "CREATE SCHEMA drizzle",
            "CREATE TABLE drizzle.__drizzle_migrations (id SERIAL PRIMARY KEY, hash text NOT"
            " NULL, created_at bigint)",
            *(row.format(table="drizzle.__drizzle_migrations") for row in _DRIZZLE_ROWS),
        ),
        "drizzle.__drizzle_migrations",
        ("aa", "bb"),
    ),
    (
        "d1",
        _SQLITE,
        (
            "CREATE TABLE d1_migrations(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE,"
            " applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL)",
            "CREATE TABLE _cf_KV (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID",
            "INSERT INTO d1_migrations (name) VALUES ('0001_users.sql'), ('0002_age.sql')",
        ),
        "d1_migrations",
        ("0001_users.sql", "0002_age.sql"),
    ),
    (
        "alembic",
        _BOTH,
        (
            "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL,"
            " CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))",
            "INSERT INTO alembic_version VALUES ('bbbbbbbbbbbb')",
        ),
        "alembic_version",
        ("bbbbbbbbbbbb",),
    ),
    (
        "django",
        _SQLITE,
        (
            'CREATE TABLE "django_migrations" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT,'
            ' "app" varchar(255) NOT NULL, "name" varchar(255) NOT NULL, "applied" datetime NOT NULL)',
            "INSERT INTO django_migrations (app, name, applied) VALUES"
            " ('auth', '0001_initial', '2024-01-02 10:00:00.5'), ('shop', '0001_users',"
            " '2024-01-02 10:00:01'),"
            " ('shop', '0002_age', '2024-01-02 10:00:02')",
        ),
        "django_migrations",
        ("0001_initial", "0001_users", "0002_age"),
    ),
    (
        "django",
        _POSTGRES,
        (
            'CREATE TABLE "django_migrations" ("id" bigint NOT NULL PRIMARY KEY GENERATED BY'
            " DEFAULT AS IDENTITY,"
            ' "app" varchar(255) NOT NULL, "name" varchar(255) NOT NULL,'
            ' "applied" timestamp with time zone NOT NULL)',
            "INSERT INTO django_migrations (app, name, applied) VALUES"
            " ('auth', '0001_initial', now()), ('shop', '0001_users', now()), ('shop', '0002_age', now())",
        ),
        "django_migrations",
        ("0001_initial", "0001_users", "0002_age"),
    ),
    (
        "yoyo",
        _BOTH,
        (
            'CREATE TABLE "_yoyo_migration" ("migration_hash" VARCHAR(64), "migration_id" VARCHAR(255),'
            ' "applied_at_utc" TIMESTAMP, PRIMARY KEY ("migration_hash"))',
            'CREATE TABLE "_yoyo_version" ("version" INT NOT NULL PRIMARY KEY, "installed_at_utc" TIMESTAMP)',
            'CREATE TABLE "yoyo_lock" ("locked" INT DEFAULT 1, "ctime" TIMESTAMP, "pid" INT NOT NULL,'
            ' PRIMARY KEY ("locked"))',
            "INSERT INTO _yoyo_migration VALUES ('f2', '0002_age', '2024-01-02 10:00:01.5'),"
            " ('f1', '0001_users', '2024-01-02 10:00:00.5')",
        ),
        "_yoyo_migration",
        ("0001_users", "0002_age"),
    ),
    (
        "dbmate",
        _BOTH,
        (
            "CREATE TABLE schema_migrations (version varchar(128) primary key)",
            "INSERT INTO schema_migrations VALUES ('0002'), ('0001')",
        ),
        "schema_migrations",
        ("0001", "0002"),
    ),
    (
        "rails",
        _BOTH,
        (
            'CREATE TABLE "schema_migrations" ("version" varchar NOT NULL PRIMARY KEY)',
            'CREATE TABLE "ar_internal_metadata" ("key" varchar NOT NULL PRIMARY KEY, "value" varchar,'
            ' "created_at" timestamp(6) NOT NULL, "updated_at" timestamp(6) NOT NULL)',
            "INSERT INTO schema_migrations VALUES ('2'), ('1'), ('10')",
        ),
        "schema_migrations",
        ("1", "2", "10"),
    ),
    (
        "ecto",
        _BOTH,
        (
            "CREATE TABLE schema_migrations (version bigint NOT NULL PRIMARY KEY, inserted_at timestamp)",
            "INSERT INTO schema_migrations VALUES (2, '2024-01-02T10:00:01'), (1, '2024-01-02T10:00:00')",
        ),
        "schema_migrations",
        ("1", "2"),
    ),
    (
        "golang-migrate",
        _SQLITE,
        (
            "CREATE TABLE schema_migrations (version uint64, dirty bool)",
            "CREATE UNIQUE INDEX version_unique ON schema_migrations (version)",
            "INSERT INTO schema_migrations VALUES (2, 0)",
        ),
        "schema_migrations",
        ("2",),
    ),
    (
        "golang-migrate",
        _POSTGRES,
        (
            "CREATE TABLE schema_migrations (version bigint not null primary key, dirty boolean not null)",
            "INSERT INTO schema_migrations VALUES (2, false)",
        ),
        "schema_migrations",
        ("2",),
    ),
    (
        "goose",
        _SQLITE,
        (
            "CREATE TABLE goose_db_version (id INTEGER PRIMARY KEY AUTOINCREMENT, version_id"
            " INTEGER NOT NULL,"
            " is_applied INTEGER NOT NULL, tstamp TIMESTAMP DEFAULT (datetime('now')))",
            "INSERT INTO goose_db_version (version_id, is_applied) VALUES (0, 1), (1, 1), (2,"
            " 1), (3, 1), (3, 0),"
            " (2, 0), (2, 1)",
        ),
        "goose_db_version",
        ("1", "2"),
    ),
    (
        "goose",
        _POSTGRES,
        (
            "CREATE TABLE goose_db_version (id integer PRIMARY KEY GENERATED BY DEFAULT AS IDENTITY,"
            " version_id bigint NOT NULL, is_applied boolean NOT NULL, tstamp timestamp NOT"
            " NULL DEFAULT now())",
            "INSERT INTO goose_db_version (version_id, is_applied) VALUES (0, true), (1, true),"
            " (2, true), (3, true),"
            " (3, false)",
        ),
        "goose_db_version",
        ("1", "2"),
    ),
    (
        "playhouse.migrations",
        _BOTH,
        (
            'CREATE TABLE "schema_migration" ("id" INTEGER NOT NULL PRIMARY KEY, "name"'
            " VARCHAR(255) NOT NULL,"
            ' "applied" TIMESTAMP NOT NULL)',
            'CREATE UNIQUE INDEX "schema_migration_name" ON "schema_migration" ("name")',
            "INSERT INTO schema_migration VALUES (1, '0001_users', '2024-01-02 10:00:00'),"
            " (2, '0002_age', '2024-01-02 10:00:01')",
        ),
        "schema_migration",
        ("0001_users", "0002_age"),
    ),
    (
        "peewee-migrate",
        _BOTH,
        (
            'CREATE TABLE "migratehistory" ("id" INTEGER NOT NULL PRIMARY KEY, "name" VARCHAR(255) NOT NULL,'
            ' "migrated_at" TIMESTAMP NOT NULL)',
            "INSERT INTO migratehistory VALUES (1, '001_users', '2024-01-02 10:00:00'),"
            " (2, '002_age', '2024-01-02 10:00:01')",
        ),
        "migratehistory",
        ("001_users", "002_age"),
    ),
    (
        "knex",
        _SQLITE,
        (
            "CREATE TABLE `knex_migrations` (`id` integer not null primary key autoincrement,"
            " `name` varchar(255),"
            " `batch` integer, `migration_time` datetime)",
            "CREATE TABLE `knex_migrations_lock` (`index` integer not null primary key autoincrement,"
            " `is_locked` integer)",
            "INSERT INTO knex_migrations (name, batch, migration_time) VALUES ('0001_users.js',"
            " 1, 1704189600000),"
            " ('0002_age.js', 1, 1704189600001)",
            "INSERT INTO knex_migrations_lock (is_locked) VALUES (0)",
        ),
        "knex_migrations",
        ("0001_users.js", "0002_age.js"),
    ),
    (
        "knex",
        _POSTGRES,
        (
            "CREATE TABLE knex_migrations (id serial primary key, name varchar(255), batch integer,"
            " migration_time timestamptz)",
            "CREATE TABLE knex_migrations_lock (index serial primary key, is_locked integer)",
            "INSERT INTO knex_migrations (name, batch, migration_time) VALUES ('0001_users.js', 1, now()),"
            " ('0002_age.js', 1, now())",
            "INSERT INTO knex_migrations_lock (is_locked) VALUES (0)",
        ),
        "knex_migrations",
        ("0001_users.js", "0002_age.js"),
    ),
    (
        "kysely",
        _BOTH,
        (
            'CREATE TABLE "kysely_migration" ("name" varchar(255) not null primary key,'
            ' "timestamp" varchar(255) not null)',
            'CREATE TABLE "kysely_migration_lock" ("id" varchar(255) not null primary key,'
            ' "is_locked" integer default 0 not null)',
            "INSERT INTO kysely_migration VALUES ('0002_age', '2024-01-02T10:00:00.001Z'),"
            " ('0001_users', '2024-01-02T10:00:00.000Z')",
            "INSERT INTO kysely_migration_lock VALUES ('migration_lock', 0)",
        ),
        "kysely_migration",
        ("0001_users", "0002_age"),
    ),
    (
        "sequelize",
        _BOTH,
        (
            'CREATE TABLE "SequelizeMeta" ("name" VARCHAR(255) NOT NULL UNIQUE PRIMARY KEY)',
            """INSERT INTO "SequelizeMeta" VALUES ('0001_users.js'), ('0002_age.js')""",
        ),
        "SequelizeMeta",
        ("0001_users.js", "0002_age.js"),
    ),
    (
        "node-pg-migrate",
        _POSTGRES,
        (
            'CREATE TABLE "pgmigrations" (id SERIAL PRIMARY KEY, name varchar(255) NOT NULL,'
            " run_on timestamp NOT NULL)",
            "INSERT INTO pgmigrations (name, run_on) VALUES ('0001_users', NOW()), ('0002_age', NOW())",
        ),
        "pgmigrations",
        ("0001_users", "0002_age"),
    ),
    (
        "sqitch",
        _POSTGRES,
        ("CREATE SCHEMA sqitch", *(sql.replace("{s}", "sqitch.") for sql in _SQITCH)),
        "sqitch.changes",
        ("users", "age"),
    ),
    (
        "prisma",
        _SQLITE,
        (
            'CREATE TABLE "_prisma_migrations" ("id" TEXT PRIMARY KEY NOT NULL, "checksum" TEXT NOT NULL,'
            ' "finished_at" DATETIME, "migration_name" TEXT NOT NULL, "logs" TEXT, "rolled_back_at" DATETIME,'
            ' "started_at" DATETIME NOT NULL DEFAULT current_timestamp,'
            ' "applied_steps_count" INTEGER UNSIGNED NOT NULL DEFAULT 0)',
            *_PRISMA_ROWS,
        ),
        "_prisma_migrations",
        ("0001_users", "0002_age"),
    ),
    (
        "prisma",
        _POSTGRES,
        (
            "CREATE TABLE _prisma_migrations (id VARCHAR(36) PRIMARY KEY NOT NULL, checksum"
            " VARCHAR(64) NOT NULL,"
            " finished_at TIMESTAMPTZ, migration_name VARCHAR(255) NOT NULL, logs TEXT,"
            " rolled_back_at TIMESTAMPTZ,"
            " started_at TIMESTAMPTZ NOT NULL DEFAULT now(), applied_steps_count INTEGER NOT NULL DEFAULT 0)",
            *_PRISMA_ROWS,
        ),
        "_prisma_migrations",
        ("0001_users", "0002_age"),
    ),
    (
        "flyway",
        _SQLITE,
        (
            'CREATE TABLE "flyway_schema_history" ("installed_rank" INT NOT NULL PRIMARY KEY,'
            ' "version" VARCHAR(50),'
            ' "description" VARCHAR(200) NOT NULL, "type" VARCHAR(20) NOT NULL, "script"'
            " VARCHAR(1000) NOT NULL,"
            ' "checksum" INT, "installed_by" VARCHAR(100) NOT NULL,'
            " \"installed_on\" TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f','now')),"
            ' "execution_time" INT NOT NULL, "success" BOOLEAN NOT NULL)',
            *(row.replace("{true}", "1") for row in _FLYWAY_ROWS),
        ),
        "flyway_schema_history",
        ("V1__users.sql", "V2__age.sql"),
    ),
    (
        "flyway",
        _POSTGRES,
        (
            'CREATE TABLE "flyway_schema_history" ("installed_rank" INT NOT NULL PRIMARY KEY,'
            ' "version" VARCHAR(50),'
            ' "description" VARCHAR(200) NOT NULL, "type" VARCHAR(20) NOT NULL, "script"'
            " VARCHAR(1000) NOT NULL,"
            ' "checksum" INTEGER, "installed_by" VARCHAR(100) NOT NULL,'
            ' "installed_on" TIMESTAMP NOT NULL DEFAULT now(), "execution_time" INTEGER NOT NULL,'
            ' "success" BOOLEAN NOT NULL)',
            *(row.replace("{true}", "true") for row in _FLYWAY_ROWS),
        ),
        "flyway_schema_history",
        ("V1__users.sql", "V2__age.sql"),
    ),
    (
        "sqlx",
        _SQLITE,
        (
            "CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL,"
            " installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, success BOOLEAN NOT NULL,"
            " checksum BLOB NOT NULL, execution_time BIGINT NOT NULL)",
            "INSERT INTO _sqlx_migrations VALUES (1, 'users', '2024-01-02 10:00:00', 1, x'aa', 1),"
            " (2, 'age', '2024-01-02 10:00:01', 1, x'bb', 1)",
        ),
        "_sqlx_migrations",
        ("1_users", "2_age"),
    ),
    (
        "sqlx",
        _POSTGRES,
        (
            "CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL,"
            " installed_on TIMESTAMPTZ NOT NULL DEFAULT now(), success BOOLEAN NOT NULL,"
            " checksum BYTEA NOT NULL,"
            " execution_time BIGINT NOT NULL)",
            "INSERT INTO _sqlx_migrations VALUES (1, 'users', now(), true, '\\xaa', 1),"
            " (2, 'age', now(), true, '\\xbb', 1)",
        ),
        "_sqlx_migrations",
        ("1_users", "2_age"),
    ),
    (
        "refinery",
        _BOTH,
        (
            "CREATE TABLE refinery_schema_history (version INTEGER PRIMARY KEY, name VARCHAR(255),"
            " applied_on VARCHAR(255), checksum VARCHAR(255))",
            "INSERT INTO refinery_schema_history VALUES (1, 'users',"
            " '2024-01-02T10:00:00.123456789Z', '123'),"
            " (2, 'age', '2024-01-02T10:00:01Z', '456')",
        ),
        "refinery_schema_history",
        ("1_users", "2_age"),
    ),
    (
        "GRDB",
        _SQLITE,
        (
            "CREATE TABLE grdb_migrations (identifier TEXT NOT NULL PRIMARY KEY)",
            "INSERT INTO grdb_migrations VALUES ('users'), ('age')",
        ),
        "grdb_migrations",
        ("users", "age"),
    ),
    (
        "Room",
        _SQLITE,
        (
            "CREATE TABLE android_metadata (locale TEXT)",
            "CREATE TABLE room_master_table (id INTEGER PRIMARY KEY, identity_hash TEXT)",
            "INSERT INTO room_master_table VALUES (42, 'c103703e120ae8cc73c9248622f3cd1e')",
            "PRAGMA user_version = 2",
        ),
        "room_master_table",
        ("2",),
    ),
    (
        "pgroll",
        _POSTGRES,
        (
            "CREATE SCHEMA pgroll",
            "CREATE TABLE pgroll.migrations (schema NAME NOT NULL, name TEXT NOT NULL,"
            " migration JSONB NOT NULL,"
            " created_at TIMESTAMP WITH TIME ZONE DEFAULT CURRENT_TIMESTAMP,"
            " updated_at TIMESTAMP WITH TIME ZONE DEFAULT CURRENT_TIMESTAMP, parent TEXT,"
            " done BOOLEAN NOT NULL DEFAULT false, resulting_schema JSONB NOT NULL DEFAULT '{{}}'::jsonb,"
            " PRIMARY KEY (schema, name))",
            "INSERT INTO pgroll.migrations (schema, name, migration, parent, done) VALUES"
            " ('other', '0001_x', '{{}}', NULL, true), ('public', '0002_age', '{{}}', '0001_users', true),"
            " ('public', '0001_users', '{{}}', NULL, true)",
        ),
        "pgroll.migrations",
        ("0001_users", "0002_age"),
    ),
)


def cases() -> list[ForeignCase]:
    """Give each tool on each engine that it has a journal on."""
    return [
        ForeignCase(tool, engine, tuple(each.replace("{{}}", "{}") for each in sql), table, names)
        for tool, engines, sql, table, names in JOURNALS
        for engine in engines
    ]


def sqitch_registry() -> tuple[str, ...]:
    """Give the statements that make sqitch's registry in a SQLite file of its own."""
    return tuple(sql.replace("{s}", "") for sql in _SQITCH)
