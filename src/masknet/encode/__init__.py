"""Raw values to ids, once: what a cell means, what each column is, and the encoded rows on disk."""

from masknet.encode.encoder import Encoder, EncoderFit
from masknet.encode.fields import EncodedRows, NumericEncoding
from masknet.encode.inspection import ColumnReport, Declared, Inspection, inspect_table
from masknet.encode.sift import BadRows
from masknet.encode.store import EncodedSet, EncodingPlan, Prepared, default_cache, prepare, read_roles

__all__ = [
    "BadRows",
    "ColumnReport",
    "Declared",
    "EncodedRows",
    "EncodedSet",
    "Encoder",
    "EncoderFit",
    "EncodingPlan",
    "Inspection",
    "NumericEncoding",
    "Prepared",
    "default_cache",
    "inspect_table",
    "prepare",
    "read_roles",
]
