"""Read the tables of recordings that people have: csv, tsv, JSON lines, JSON arrays and records.

``read_table`` is the one reader of all commands. It detects encoding and delimiter, resolves other
names of the known columns, and reads row by row, so that memory use does not depend on the table.
"""

from phonemo.tables.cells import parse_seconds, portable_path
from phonemo.tables.columns import ALIASES, expected_column
from phonemo.tables.reading import Table, TableRow, read_table, table_of_records

__all__ = [
    "ALIASES",
    "Table",
    "TableRow",
    "expected_column",
    "parse_seconds",
    "portable_path",
    "read_table",
    "table_of_records",
]
