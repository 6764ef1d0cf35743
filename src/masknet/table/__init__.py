"""Any source of rows as one stream of frames, in bounded memory.

CSV and TSV arrive as text, as written; Parquet and frames keep their types. A table is read anew on each pass, holds
no file open in between, and never changes what it was given.
"""

from masknet.table.arrow import null_mask
from masknet.table.derived import Kept, split_rows, with_columns, without_rows
from masknet.table.different import Codes, different_in_series
from masknet.table.memory import is_matrix
from masknet.table.part import ROWS, BadRow
from masknet.table.style import PLAIN, Form
from masknet.table.table import Chunk, Rows, Source, Table, open_table, spread, table_name

__all__ = [
    "PLAIN",
    "ROWS",
    "BadRow",
    "Chunk",
    "Codes",
    "Form",
    "Kept",
    "Rows",
    "Source",
    "Table",
    "different_in_series",
    "is_matrix",
    "null_mask",
    "open_table",
    "split_rows",
    "spread",
    "table_name",
    "with_columns",
    "without_rows",
]
