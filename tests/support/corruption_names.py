"""How check-db must name each kind of damage of the laboratory, and what leaves nothing that could be named.

A name is a pattern for "ID message" of one finding. Kinds of a family that differ only in where they hit
share the family's.
"""

from __future__ import annotations

__all__ = ["HIT_OR_MISS", "INFORMED", "SILENT", "name_of"]

_PAGES = (
    r"DL-C001 .*([Pp]age|tree|freelist|index|row|record|NULL|byte|reference|[Ff]ragment|ptrmap)"
    r"|DL-C001 .*cannot be read"
    r"|DL-C00[2-9] |DL-C010 |DL-C1(01|02|03|1[0-7]) |DL-C084 .*(cut short|whole number)"
)
_FAMILIES = {
    "physical": _PAGES,
    "freelist": r"DL-C001 .*(freelist|never used|ptrmap|ptr map|reference)|DL-C11[456] ",
    "schema": r"DL-C013 |DL-C118 |DL-C020 |DL-C084 |DL-C085 "
    r"|DL-C001 .*(never used|reference|[Pp]age 1\b|rootpage)"
    r"|DL-C110 .*page 1 |DL-C00[235] |DL-C006 |DL-C001 .*(cannot be read|PRIMARY KEY order)",
    "index": r"DL-C002 .*index|DL-C117 .*index|DL-C11[0126] "
    r"|DL-C001 .*(index|cannot be read)|DL-C021 .*index",
}
_LOG = r"DL-C082 .*-wal is damaged"
_FRAMES = r"DL-C082 .*-wal is damaged.*frame"
_JOURNAL = r"DL-C083 .*-journal is damaged"
_HEADER = r"DL-C084 .*header .* is damaged"

_KINDS = {
    # header
    "magic_zeroed": f"{_HEADER}.*first bytes",
    "magic_flipped": f"{_HEADER}.*first bytes",
    "header_zeroed": f"{_HEADER}.*first bytes",
    "header_garbage": f"{_HEADER}.*first bytes",
    "page_size_wrong": r"DL-C104 .*the page size is \d+, not \d+",
    "page_size_impossible": f"{_HEADER}.*the page size is",
    "encoding_wrong": r"DL-C104 .*texts are .*, not what the header says",
    "encoding_impossible": f"{_HEADER}.*the text encoding is",
    "format_versions_wrong": f"{_HEADER}.*the version of the format",
    "schema_format_wrong": r"DL-C084 .*the schema format is|DL-C104 .*the schema format is",
    "change_counter_wrong": r"DL-C084 .*the change counter",
    "freelist_head_wrong": r"DL-C001 .*freelist|DL-C114 ",
    "freelist_count_wrong": r"DL-C114 .*the freelist holds \d+ pages, the header tells of \d+",
    "page_count_small": r"DL-C103 .*the header tells of \d+ pages, the file holds \d+",
    "page_count_large": r"DL-C103 .*the header tells of \d+ pages, the file holds \d+",
    "reserved_bytes_wrong": r"DL-C104 .*a page reserves 0 bytes, not",
    "auto_vacuum_wrong": r"DL-C001 .*(ptrmap|ptr map|rootpage|never used)|DL-C104 .*vacuum|DL-C115 ",
    "fractions_wrong": f"{_HEADER}.*the payload fractions",
    "user_version_wrong": r"DL-C023 .*user_version is 999",
    # write-ahead log
    "log_header_zeroed": f"{_LOG} .its header is zeros",
    "log_header_garbage": f"{_LOG} .its header is none of a log",
    "log_header_flipped": f"{_LOG} .(the checksum of its header|its header)",
    "log_salts_wrong": f"{_LOG} .the checksum of its header",
    "log_byte_order_wrong": f"{_LOG} .the checksum of its header",
    "log_page_size_wrong": f"{_LOG} .the checksum of its header",
    "log_early_frame_bad": _FRAMES,
    "log_early_frame_zeroed": _FRAMES,
    "log_frame_flipped": _FRAMES,
    "log_frame_half_gone": _FRAMES,
    "log_frame_number_wrong": _FRAMES,
    "log_frame_salts_wrong": _FRAMES,
    "log_frame_checksum_wrong": _FRAMES,
    "log_frame_heads_flipped": _FRAMES,
    "log_frame_missing": _FRAMES,
    "log_shifted": _FRAMES,
    "log_not_announced": r"DL-C079 .*-wal does not belong .*not in WAL mode",
    "log_of_another": r"DL-C079 .*-wal does not belong ",
    "log_stale": r"DL-C121 .*the write-ahead log does not belong",
    "leaf_zeroed_beside_log": r"DL-C110 .*page \d+ cannot be read",
    "first_page_zeroed_beside_log": f"{_HEADER}.*first bytes",
    "main_file_emptied": r"DL-C071 .*is empty",
    # rollback journal
    "journal_header_zeroed": r"DL-C122 .*the header of the rollback journal is gone",
    "journal_header_garbage": f"{_JOURNAL}: its header is none",
    "journal_magic_flipped": f"{_JOURNAL}: its header is none",
    "journal_nonce_wrong": f"{_JOURNAL}: its header gives the number",
    "journal_count_wrong": f"{_JOURNAL}: its header counts",
    "journal_page_count_wrong": f"{_JOURNAL}: its header tells of",
    "journal_page_size_wrong": r"DL-C079 .*-journal does not belong .*its pages have",
    # the checksum of a record is over every 200th byte
    "journal_record_flipped": f"{_JOURNAL}: the checksums|DL-C080 .*-journal is hot",
    "journal_record_zeroed": f"{_JOURNAL}: the checksums",
    "journal_checksum_wrong": f"{_JOURNAL}: the checksums",
    "journal_number_wrong": f"{_JOURNAL}: \\d+ records are of pages",
    "journal_truncated": f"{_JOURNAL}: its header counts \\d+ records, and \\d+ are there",
    "journal_missing": r"DL-C110 |DL-C001 ",
    "kept_page_zeroed": r"DL-C080 .*-journal is hot",
    "leaf_zeroed_beside_journal": r"DL-C110 .*page \d+ cannot be read",
    # logical
    "orphans": r"DL-C010 .*refer to rows of",
    "null_where_forbidden": r"DL-C005 .*have no",
    "check_violated": r"DL-C003 .*break the rule",
    "json_invalid": r"DL-C008 .*invalid JSON",
    "own_json_invalid": r"DL-C008 .*invalid JSON",
    "type_wrong": r"DL-C006 .*have another type",
    "text_undecodable": r"DL-C007 .*not valid UTF-8",
    "duplicates": r"DL-C009 .*are alike in",
    "sequence_behind": r"DL-C011 .*the sequence of",
    "sequence_missing": r"DL-C011 .*the sequence of",
    "indexes_missing": r"DL-C020 .*index .* is missing",
    "trigger_missing": r"DL-C020 .*trigger .* is missing",
    "view_missing": r"DL-C020 .*view .* is missing",
    "column_missing": r"DL-C021 .*column .* missing",
    "table_missing": r"DL-C020 .*table .* is missing",
    "word_index_emptied": r"DL-C002 .*the full-text index document lost",
    # environment
    "empty_file": r"DL-C071 .*is empty",
    "text_file": r"DL-C072 .*is not a database",
    "random_file": r"DL-C073 .*encrypted",
    "zeroed_file": r"DL-C072 .*begins with zeros",
    "compressed_file": r"DL-C072 .*compressed by gzip",
    "directory_in_place": r"DL-C074 .*is a folder",
    "missing_file": r"DL-C070 .*there is no file",
    "read_only_file": r"DL-C075 .*may not be written",
    "prefixed_file": r"DL-C084 .*|DL-C102 .*stand before the database",
    "appended_garbage": r"DL-C101 .*ends within page|DL-C103 ",
    "stray_log": f"{_LOG} .its header is none of a log|DL-C079 .*-wal lies beside",
    "stray_shared_memory": r"DL-C079 .*-shm lies beside",
}

INFORMED = {
    "schema_cookie_wrong": (
        r"DL-C084 .*changes of its schema",
        "any number is valid, and SQLite only compares it with that of statements it prepared before",
    ),
    "log_truncated_within_frame": (
        r"DL-C086 .*ends within frame|DL-C086 .*did not end",
        "a process that ends while it writes leaves the same; what was committed before is there",
    ),
    "log_emptied": (r"DL-C086 .*-wal is empty", "a checkpoint leaves a log without a byte too"),
    "log_tail_garbage": (r"DL-C086 .*no log of this database wrote", "SQLite never reads that far"),
    "log_tail_uncommitted": (r"DL-C086 .*did not end", "nothing of it was ever committed"),
    "replaced_page_zeroed": (r"DL-C086 .*log holds anew", "the log has the pages: nothing is lost"),
    "journal_of_a_commit": (r"DL-C079 .*-journal is over", "journal_mode PERSIST leaves it on purpose"),
    "stray_journal": (
        r"DL-C079 .*-journal is over|DL-C083 .*none of a journal",
        "a journal of zeros is what journal_mode PERSIST leaves",
    ),
    "table_extra": (r"DL-C022 .*table stray is extra", "an app may keep tables of its own beside ours"),
}
"""Kinds of which an information is enough, with its name and why it is no problem."""

SILENT = {
    "said_to_have_a_log": "the header is that of a sound database in WAL mode whose log was checkpointed",
    "log_missing": "a database in WAL mode that was closed has no log; the main file is sound, and older",
    "log_truncated_after_commit": "a log that ends with a commit is sound: nothing counts the commits",
}
"""Kinds that leave a sound database and no sign of what it held besides."""

HIT_OR_MISS = (
    "torn_sector",
    "swapped_sectors",
    "reversed_extent",
    "flipped_bits",
    "random_bytes",
    "random_runs",
    "flipped_payload_bits",
    "index_bits_flipped",
    "index_roots_swapped",
    "schema_roots_swapped",
    "pointer_map_flipped",
)
"""Kinds that can hit bytes which nobody uses, empty trees, or values that any other would be as good as.

A page of SQLite has no checksum: there is nothing to be seen then.
"""


def name_of(kind: str, family: str) -> str:
    """Give the pattern that one finding about this kind of damage has to match."""
    return _KINDS.get(kind) or _FAMILIES[family]
