"""Raw values to ids, once: what a cell means, what each column is, and the encoded rows on disk."""

from masknet.encode.declared import Declared
from masknet.encode.encoder import Encoder, EncoderLearner
from masknet.encode.fields import EncodedRows
from masknet.encode.inspection import inspect_table
from masknet.encode.prepare import EncodingPlan, Prepared, default_cache, prepare
from masknet.encode.reports import ColumnReport, Inspection
from masknet.encode.shown import Counts, Shown, StandIns
from masknet.encode.sift import BadRows
from masknet.encode.skew import Count, FieldSkew, ValueCounts
from masknet.encode.storage import Column, Layout
from masknet.encode.store import EncodedSet
from masknet.encode.values import read_roles

__all__ = [
    "BadRows",
    "Column",
    "ColumnReport",
    "Count",
    "Counts",
    "Declared",
    "EncodedRows",
    "EncodedSet",
    "Encoder",
    "EncoderLearner",
    "EncodingPlan",
    "FieldSkew",
    "Inspection",
    "Layout",
    "Prepared",
    "Shown",
    "StandIns",
    "ValueCounts",
    "default_cache",
    "inspect_table",
    "prepare",
    "read_roles",
]
