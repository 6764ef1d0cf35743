"""What a column is taken for where nobody said: by what its rows say, and by the words of its name."""

from __future__ import annotations

import re
from dataclasses import dataclass

from masknet.encode import values
from masknet.encode.facts import NO_CHANCE, ColumnFacts
from masknet.encode.moment_forms import Dated
from masknet.encode.moment_texts import UNITS

__all__ = ["Taken", "named_like_a_time", "taken_for"]

_MOST = 0.8
"""Of the texts of a column so many numbers make it look like one of numbers."""

FEW_DISTINCT = 50
"""Integers with fewer distinct values than this are categorical."""

_NEARLY_ALL = 0.9
"""Where so many of at least `NO_CHANCE` texts are different, they are not categories."""

# Words that make an integer column one of ids or codes, wherever they stand in its name, and the entities whose bare
# name stands for their id in click logs.
_ID_WORDS = frozenset(
    ("id", "ids", "idx", "uid", "uuid", "guid", "gid", "code", "codes", "key", "hash", "zip", "zipcode", "postcode")
)
# fmt: off
_ENTITIES = frozenset((
    "user", "item", "ad", "ads", "campaign", "creative", "advertiser", "publisher", "site", "app",
    "page", "product", "sku", "brand", "category", "device", "query", "country", "region", "state",
    "city", "movie", "song", "artist", "author", "store", "shop", "merchant", "ip", "os", "channel", "aid",
))
_COUNT_WORDS = frozenset((
    "count", "counts", "cnt", "num", "number", "total", "totals", "sum", "past", "times", "days", "hours", "minutes",
    "visits", "clicks", "views", "quantity", "qty", "weeks", "months", "years", "nights", "age", "calls",
    "reviews", "accounts", "rooms", "bedrooms", "beds", "amount", "price", "income", "balance", "limit", "length",
    "duration",
))
_TIME_WORDS = frozenset((
    "time", "timestamp", "ts", "date", "datetime", "dt", "day", "hour", "at", "when", "moment", "created", "updated",
    "unix", "epoch",
))
# fmt: on


@dataclass(frozen=True)
class Taken:
    """What a column is taken for where nobody said: the kind, the reason, whether to look, and the flags against it."""

    kind: str
    why: str
    flagged: bool = False
    hint: tuple[tuple[str, str], ...] = ()
    are_moments: bool = False
    """Whether they look like moments, all of them."""


_OF_EACH_ROW = Taken("ignored", "a value of its own in each row; --categorical keeps it", True)
"""An id of the row tells nothing of any other row."""


def taken_for(facts: ColumnFacts, other_decimal: bool) -> Taken:
    """What a column is taken for where nobody said.

    Args:
        facts: of the column.
        other_decimal: whether no column has decimals as they are declared, so that all may have the other ones.
    """
    name, distinct = facts.name, facts.distinct.count(facts.value_type)
    if "nested" in facts.types:
        return Taken("ignored", "structs and nested lists are not read", True)
    if facts.empty:
        return Taken("ignored", "missing in every row", True)
    if "list" in facts.types:
        return _kind_of_lists(facts)
    if "temporal" in facts.types:
        return Taken("ignored", "times of day are not read", True)
    if facts.are_moments:
        if len(facts.zoned) > 1:
            return Taken("ignored", "some moments name their zone, some do not", True)
        return Taken("datetime", "dates and times")
    if "boolean" in facts.types or facts.all_booleans:
        return Taken("categorical", "booleans")
    if facts.is_saved_index:
        return Taken("ignored", "the index that pandas saved")
    if "text" in facts.types and facts.all_dates and facts.some_dates:
        why = "texts, many like moments; --datetime tells which is none"
        return Taken("categorical", why, True, (("datetime", name),))
    likely = None if facts.epoch is None or _named_like_an_id(name) else facts.epoch.likely
    if likely is not None:
        few = distinct is not None and distinct < FEW_DISTINCT
        kind = "categorical" if few or (facts.typed and "text" in facts.types) else "numeric"
        since = f"{likely} since 1970" if likely in UNITS else "dates in digits"
        return Taken(kind, f"numbers; {since}, with --datetime", True, (("datetime", name),), are_moments=True)
    if facts.typed and "text" in facts.types:
        return _kind_of_texts(facts, other_decimal)
    if facts.are_integers:
        if _named_like_an_id(name):
            if facts.each_row_differs:
                return _OF_EACH_ROW
            return Taken("categorical", "integers, named like an id or code")
        if distinct is not None and distinct < FEW_DISTINCT:
            if _named_like_a_count(name):
                why = f"integers, under {FEW_DISTINCT} distinct; if counts, --numeric"
                return Taken("categorical", why, True, (("numeric", name),))
            return Taken("categorical", f"integers, under {FEW_DISTINCT} distinct")
        if _named_like_a_count(name):
            return Taken("numeric", "integers")
        if facts.each_row_differs:
            return Taken("numeric", "integers, another in each row; if ids, --ignore", True, (("ignore", name),))
        return Taken("numeric", "integers; if ids, --categorical", True, (("categorical", name),))
    if facts.all_numbers and facts.words < facts.rows - facts.missing:
        if _has_an_id_word(name) or (_named_like_an_id(name) and not facts.fractional):
            return Taken("numeric", "numbers; if ids, --categorical", True, (("categorical", name),))
        return Taken("numeric", "numbers, not all of them integers" if facts.fractional else "numbers")
    return _kind_of_texts(facts, other_decimal)


def _kind_of_texts(facts: ColumnFacts, other_decimal: bool) -> Taken:
    """Texts are categories; where most of them look like something else, that is to be looked at."""
    texts, name, shapes = facts.text_numbers, facts.name, facts.shapes
    if texts.others_decimal and texts.numbers + texts.others_decimal >= _MOST * (texts.numbers + texts.wrong):
        if texts.decimal == ",":
            return Taken("categorical", "texts; numbers with a point, where --decimal is ,", True)
        if other_decimal:
            return Taken("categorical", "texts; numbers with --decimal ,", True, (("decimal", ","),))
    own, dated = facts.each_row_differs, facts.dates.found
    if dated is not None:
        return _dated(name, dated, own)
    if texts.wrong and (shapes.are_prose or shapes.are_listed or shapes.separator):
        what = f"most with '{shapes.separator}'"
        what = "lists in brackets" if shapes.are_listed else "several words each" if shapes.are_prose else what
        read = "each its own; --bag reads parts" if own else "--bag reads the parts"
        return Taken("ignored" if own else "categorical", f"texts, {what}; {read}", True, (("bag", name),))
    if own:
        return _OF_EACH_ROW
    if texts.padded or "text" not in facts.types or _named_like_an_id(name):
        return Taken("categorical", "texts")
    if texts.numbers and texts.share >= _MOST:
        if not texts.wrong:
            hint = () if texts.whole else (("numeric", name),)
            return Taken("categorical", "texts" if texts.whole else "texts, all numbers; --numeric", bool(hint), hint)
        (other, times), *_ = texts.others.most_common(1) or [("", texts.wrong)]
        percent = min(99, round(100 * texts.share))
        why = f"texts; {percent}% are numbers; '{values.short(other, 20)}' ({times:,}) with --missing?"
        if 2 * times < texts.wrong:  # many other texts: it may be a code
            return Taken("categorical", why, True)
        hint = (("missing", other),) if other else ()
        return Taken("categorical", why, True, (("numeric", name), *hint) if facts.typed and hint else hint)
    distinct, known = facts.distinct.count(facts.value_type), facts.rows - facts.missing
    if distinct is not None and known >= NO_CHANCE and distinct >= _NEARLY_ALL * known:
        return Taken("categorical", "texts, nearly each its own; --ignore leaves out", True, (("ignore", name),))
    return Taken("categorical", "texts")


def _dated(name: str, dated: Dated, own: bool) -> Taken:
    """Texts that are dates, most of them, but none that are read as such by themselves."""
    kind, iso = "ignored" if own else "categorical", dated.form == "iso"
    hint = (("datetime", name if iso else f"{name}={dated.form}"),)
    what = "ISO dates" if iso else f"dates as {dated.form}" + (f" or {dated.either}" if dated.either else "")
    if dated.other is not None:
        why = f"texts; {dated.share:.0%} {what}; '{values.short(dated.other, 20)}' with --missing?"
        return Taken(kind, why, True, (*hint, ("missing", dated.other)))
    return Taken(kind, f"texts; {what}, with --datetime", True, hint, are_moments=True)


def _kind_of_lists(facts: ColumnFacts) -> Taken:
    if "float" in facts.types and facts.types <= {"list", "float", "integer"}:
        if len(facts.lengths) == 1 and min(facts.lengths) > 1 and not facts.pairs:
            return Taken("dense", f"lists of {min(facts.lengths)} numbers")
        return Taken("ignored", "lists of fractional numbers, of several lengths; --bag or --dense", True)
    mean = facts.entries / max(1, facts.rows - facts.missing)
    return Taken("bag", f"{'weighted ' if facts.pairs else ''}lists, {mean:.3g} values a row")


def _words(name: str) -> list[str]:
    """The words of a name, whether blanks, underscores or capitals part them."""
    return re.findall(r"[a-z]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).lower())


def _has_an_id_word(name: str) -> bool:
    return bool(_ID_WORDS.intersection(_words(name)))


def _named_like_an_id(name: str) -> bool:
    words = _words(name)
    return _has_an_id_word(name) or bool(words and words[-1] in _ENTITIES)


def _named_like_a_count(name: str) -> bool:
    return bool(_COUNT_WORDS.intersection(_words(name)))


def named_like_a_time(name: str) -> bool:
    """Whether a name has a word of moments, or one that ends so, as `eventtime`."""
    words = _words(name)
    return bool(_TIME_WORDS.intersection(words)) or any(word.endswith(("time", "date", "stamp")) for word in words)
