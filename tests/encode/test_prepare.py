from __future__ import annotations

import importlib
import os
import re
import shutil
import time
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from masknet.encode import Declared, EncodedSet, EncoderLearner, EncodingPlan, Prepared, prepare, read_roles
from masknet.encode.split import random_rows
from masknet.encode.store import SetWriter
from masknet.errors import DataError
from masknet.progress import LogProgress
from masknet.table import Table, open_table

module = importlib.import_module("masknet.encode.prepare")  # of whose name is a function too

PLAN = EncodingPlan(Declared(label="click"))


class Notes(LogProgress):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.warnings: list[str] = []
        self.phases: dict[str, tuple[int, int | None]] = {}

    def note(self, text: str) -> None:
        self.notes.append(text)

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def track(self, phase: str, done: int, total: int | None, detail: str = "") -> None:
        self.phases[phase] = (done, total)

    @property
    def reused(self) -> bool:
        return any("cache" in note and "taken" in note for note in self.notes)


def log_of(rows: int = 40) -> pl.DataFrame:
    """A small click log with every kind of column."""
    n = np.arange(rows)
    return pl.DataFrame(
        {
            "click": (n % 4 == 0).astype(np.int64),
            "user": [None if i % 7 == 0 else f"u{i % 5}" for i in n],
            "item_id": n % 6,
            "price": np.where(n % 5 == 0, np.nan, n * 0.5 + 0.25),
            "age": n * 1.5,
            "w": 1.0 + n % 3,
            "session": [f"s{i % 3}" for i in n],
            "at": n // 2,
        }
    )


def run(cache: Path, source: Any, plan: EncodingPlan = PLAN, **options: Any) -> tuple[Prepared, bool]:
    """What `prepare` gives, and whether it was taken from the cache."""
    notes = Notes()
    valid = options.pop("valid", None)
    tables = open_table(source), None if valid is None else open_table(valid)
    return prepare(*tables, plan, notes, cache=cache, **options), notes.reused


def arrays_of(rows: EncodedSet) -> tuple[np.ndarray, np.ndarray]:
    taken = rows.take(slice(None))
    return taken.ids, np.broadcast_to(taken.values, taken.ids.shape)


def labels_of(frame: pl.DataFrame) -> np.ndarray:
    """The one label of a log, `[rows, 1]`."""
    return frame.select(pl.col("click").cast(pl.UInt8)).to_numpy()


def full_plan(**changes: Any) -> EncodingPlan:
    return EncodingPlan(
        **{"declared": Declared(label="click", weight="w", group="session", ignore=("at",)), "min_count": 2} | changes
    )


# What is stored


@pytest.mark.parametrize("as_file", [None, "x.parquet", "x.csv"])
def test_the_set_holds_what_the_encoder_gives(as_file: str | None, tmp_path: Path) -> None:
    frame = log_of()
    source: Any = frame
    if as_file is not None:
        source = tmp_path / as_file
        frame.write_csv(source) if as_file.endswith("csv") else frame.write_parquet(source)
    prepared, _ = run(tmp_path / "cache", source, full_plan(valid_fraction=0.25))
    assert prepared.valid is not None
    assert len(prepared.train) == 30
    assert len(prepared.valid) == 10
    chosen = random_rows(labels_of(frame), 0.25)
    chunk = next(open_table(source).chunks())
    encoded = prepared.encoder.encode(chunk)
    roles = read_roles(chunk, prepared.encoder.schema)
    for rows, mask in ((prepared.train, ~chosen), (prepared.valid, chosen)):
        own_ids, own_values = arrays_of(rows)
        np.testing.assert_array_equal(own_ids, encoded.ids[mask])
        np.testing.assert_array_equal(own_values, encoded.values[mask])
        np.testing.assert_array_equal(rows.labels, labels_of(frame)[mask])
        assert rows.weights is not None
        np.testing.assert_array_equal(rows.weights, frame["w"].to_numpy()[mask])
        assert rows.groups is not None
        np.testing.assert_array_equal(rows.groups, roles["groups"][mask])


def test_rows_in_many_chunks_keep_their_order(tmp_path: Path) -> None:
    frame = pl.DataFrame({"click": [0, 1] * 70_000, "n": np.arange(140_000) * 0.5})
    prepared, _ = run(tmp_path, frame, valid=frame.tail(70_001))
    assert prepared.valid is not None
    values = arrays_of(prepared.train)[1][:, 0]
    assert (np.diff(values) > 0).all()
    np.testing.assert_array_equal(arrays_of(prepared.valid)[1][:, 0], values[-70_001:])


def test_the_time_and_space_it_takes_are_said_before(tmp_path: Path) -> None:
    notes = Notes()
    prepare(open_table(log_of()), None, PLAN, notes, cache=tmp_path)
    assert notes.notes[0].startswith("reading the frame: about 40 rows, 0.0 MB")
    assert re.match(r"encoding 40 rows: 0\.0 MB in the cache, about [1-9]\d* s", notes.notes[1])
    assert notes.phases == {"inspect": (40, 40), "learn the vocabulary": (40, 40), "encode": (40, 40)}


# The key


def test_the_same_table_and_plan_are_encoded_once(tmp_path: Path) -> None:
    log_of().write_parquet(tmp_path / "x.parquet")
    first, reused = run(tmp_path, tmp_path / "x.parquet", full_plan())
    assert not reused
    second, reused = run(tmp_path, tmp_path / "x.parquet", full_plan())
    assert reused
    assert second.fingerprint == first.fingerprint
    assert second.inspection == first.inspection
    for own, other in zip(arrays_of(first.train), arrays_of(second.train), strict=True):
        np.testing.assert_array_equal(own, other)
    shutil.copy2(tmp_path / "x.parquet", tmp_path / "y.parquet")
    assert run(tmp_path, tmp_path / "y.parquet", full_plan())[1], "the name of a file does not count"


@pytest.mark.parametrize(
    "change",
    [
        {"declared": Declared(label="click", weight="w", group="session")},
        {"declared": Declared(label="click", weight="w", group="session", ignore=("at", "age"))},
        {"declared": Declared(label="click", weight="w", group="session", ignore=("at",), categorical=("age",))},
        {"declared": Declared(label="click", weight="w", group="session", ignore=("at",), numeric=("item_id",))},
        {"declared": Declared(label="click", weight="w", time="at", group="session")},
        {"declared": Declared(label="click", group="session", ignore=("at",))},
        {"min_count": 3},
        {"max_vocabulary": 2},
        {"valid_fraction": 0.2},
        {"limit_rows": 39},
    ],
    ids=str,
)
def test_another_plan_is_another_set(change: dict[str, Any], tmp_path: Path) -> None:
    first, _ = run(tmp_path, log_of(), full_plan())
    second, reused = run(tmp_path, log_of(), full_plan(**change))
    assert not reused
    assert second.fingerprint != first.fingerprint
    assert run(tmp_path, log_of(), full_plan())[0].train.labels.tolist() == first.train.labels.tolist()


def test_another_label_is_another_set(tmp_path: Path) -> None:
    frame = log_of().with_columns(other=1 - pl.col("click"))
    first, _ = run(tmp_path, frame)
    second, reused = run(tmp_path, frame, EncodingPlan(Declared(label="other")))
    assert not reused
    assert second.train.labels.sum() != first.train.labels.sum()


@pytest.mark.parametrize("verify", [False, True])
def test_a_changed_data_file_is_another_set(verify: bool, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    log_of().write_csv(path)
    run(tmp_path, path, verify=verify)
    changed = path.read_text(encoding="utf-8").replace("u1", "u9")
    path.write_text(changed, encoding="utf-8")
    os.utime(path, ns=(1, 1))
    prepared, reused = run(tmp_path, path, verify=verify)
    assert not reused
    encoding = prepared.encoder.encodings[0]
    assert "u9" in encoding.vocabulary.values.to_list()  # type: ignore[union-attr]


def test_frames_are_told_apart_by_their_cells(tmp_path: Path) -> None:
    run(tmp_path, log_of())
    assert run(tmp_path, log_of())[1]
    assert not run(tmp_path, log_of().with_columns(pl.col("age") + 1))[1]
    assert not run(tmp_path, log_of().rename({"age": "years"}))[1]


def test_another_validation_table_or_version_is_another_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path, log_of(), valid=log_of(10))
    assert run(tmp_path, log_of(), valid=log_of(10))[1]
    assert not run(tmp_path, log_of(), valid=log_of(11))[1]
    assert not run(tmp_path, log_of())[1]
    monkeypatch.setattr(module, "__version__", "0.0.0")
    assert not run(tmp_path, log_of())[1]
    monkeypatch.setattr(module, "FORMAT", module.FORMAT + 1)
    assert not run(tmp_path, log_of())[1]


# Crashes and neighbours


def test_a_crash_leaves_nothing_under_the_final_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(SetWriter, "add", crash)
        with pytest.raises(OSError, match="No space left"):
            run(tmp_path, log_of())
    assert list((tmp_path / "encoded").iterdir()) == []
    assert len(run(tmp_path, log_of())[0].train) == 36


def test_of_several_at_once_one_encodes_and_the_others_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encode, calls = module._encode, []
    notes = [Notes(), Notes(), Notes()]

    def waiting() -> int:
        return sum(any("another process is encoding" in note for note in n.notes) for n in notes)

    def encode_when_the_others_wait(*args: Any) -> None:
        calls.append(args)
        until = time.monotonic() + 60
        while waiting() < 2 and time.monotonic() < until:
            time.sleep(0.001)
        encode(*args)

    monkeypatch.setattr(module, "_encode", encode_when_the_others_wait)
    tables = [open_table(log_of()) for _ in notes]
    with ThreadPoolExecutor(len(notes)) as pool:
        made = list(pool.map(lambda t, n: prepare(t, None, PLAN, n, cache=tmp_path), tables, notes))
    assert len(calls) == 1
    assert sorted(n.reused for n in notes) == [False, True, True]
    assert waiting() == 2
    for prepared in made:
        np.testing.assert_array_equal(arrays_of(prepared.train)[0], arrays_of(made[0].train)[0])


def test_what_a_killed_process_left_is_dropped_after_a_day(tmp_path: Path) -> None:
    old, young = tmp_path / "encoded" / ".writing-old", tmp_path / "encoded" / ".writing-young"
    for folder in (old, young):
        (folder / "set").mkdir(parents=True)
    os.utime(old, (time.time() - 2 * 86400,) * 2)
    run(tmp_path, log_of())
    assert not old.exists()
    assert young.exists()


def test_a_table_is_read_once_so_that_what_becomes_of_it_meanwhile_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.csv"
    log_of().write_csv(path)
    expected, _ = run(tmp_path / "before", path)
    finish = EncoderLearner.finish

    def shrink(self: EncoderLearner, **options: Any) -> Any:
        log_of(30).write_csv(path)
        return finish(self, **options)

    monkeypatch.setattr(EncoderLearner, "finish", shrink)
    prepared, _ = run(tmp_path, path)
    for now, before in zip(arrays_of(prepared.train), arrays_of(expected.train), strict=True):
        assert now.tolist() == before.tolist()


def test_a_disk_that_is_too_small_is_found_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = namedtuple("disk", "total used free")
    # 40 rows of five fields: 3 ids of integers and texts, 2 of numbers with a value each, label, weight and group.
    need = 40 * (3 * 4 + 2 * 8 + 1 + 8 + 8)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: disk(0, 0, need - 1))
    plan = full_plan(declared=Declared(label="click", weight="w", group="session"))
    with pytest.raises(DataError, match="MB free: make room, or name another folder with --cache-dir"):
        run(tmp_path, log_of(), plan)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: disk(0, 0, need))
    prepared, _ = run(tmp_path, log_of(), plan)
    stored = sum(f.stat().st_size - 128 for f in (tmp_path / "encoded").rglob("*.npy"))
    assert 0 < stored <= need
    assert len(prepared.train) == 36


# The split


def test_the_split_is_the_same_whatever_the_plan_beside_it(tmp_path: Path) -> None:
    first, _ = run(tmp_path, log_of().drop("age"))
    second, _ = run(tmp_path, log_of(), replace(PLAN, min_count=4))
    for part in ("train", "valid"):
        assert getattr(first, part).labels.tolist() == getattr(second, part).labels.tolist()
    chosen = random_rows(labels_of(log_of()), 0.1)
    assert first.valid is not None
    assert len(first.valid) == chosen.sum() == 4
    assert first.valid.labels.sum() == 1


def test_values_seen_only_in_validation_are_unseen(tmp_path: Path) -> None:
    frame = log_of()
    chosen = random_rows(labels_of(frame), 0.1)
    leaky = frame.with_columns(
        user=pl.Series(np.where(chosen, "later", frame["user"].fill_null("u0").to_numpy())),
        age=pl.Series(np.where(chosen, 1e9, frame["age"].to_numpy())),
    )
    prepared, _ = run(tmp_path, leaky)
    assert prepared.valid is not None
    assert prepared.encoder.schema.field_names[:3] == ("user", "item_id", "price")
    assert set(arrays_of(prepared.valid)[0][:, 0].tolist()) == {2}
    assert 2 not in arrays_of(prepared.train)[0][:, 0]
    age = prepared.encoder.encodings[3]
    assert age.scale.high < 100  # type: ignore[union-attr]


def test_the_last_tenth_by_time_validates(tmp_path: Path) -> None:
    shuffled = log_of().sample(fraction=1.0, shuffle=True, seed=3)
    prepared, _ = run(tmp_path, shuffled, EncodingPlan(Declared(label="click", time="at", group="at")))
    assert prepared.valid is not None
    late = shuffled["at"] >= 18
    assert len(prepared.valid) == late.sum() == 4
    assert prepared.valid.labels[:, 0].tolist() == shuffled.filter(late)["click"].to_list()
    assert prepared.encoder.schema.time == "at"
    assert "at" not in prepared.encoder.schema.field_names


@pytest.mark.parametrize(
    ("form", "after"),
    [
        ("numbers", "14.5"),
        ("dates", "2026-01-15"),
        ("texts", "2026-01-15"),
        ("texts", "20260115"),
        ("seconds", "2026-01-15"),
        ("seconds", "1768435200"),
        ("American", "1/15/2026"),
        ("American", "2026-01-15T01:00:00+01:00"),
    ],
)
def test_rows_after_a_moment_validate(form: str, after: str, tmp_path: Path) -> None:
    day = (pl.date(2026, 1, 1) + pl.duration(days=pl.col("at"))).alias("at")
    written = day.dt.strftime("%m/%d/%Y")
    at = {"numbers": pl.col("at"), "dates": day, "texts": day.cast(pl.String), "seconds": day.dt.epoch("s"),
          "American": written}[form]  # fmt: skip
    time = "at=%m/%d/%Y" if form == "American" else "at"
    plan = EncodingPlan(Declared(label="click", time=time), valid_after=after)
    prepared, _ = run(tmp_path, log_of().with_columns(at), plan)
    assert prepared.valid is not None
    assert (len(prepared.train), len(prepared.valid)) == (30, 10)


def test_a_time_is_pointed_at_only_where_chance_splits(tmp_path: Path) -> None:
    day = (pl.date(2026, 1, 1) + pl.duration(days=pl.col("at"))).alias("at")
    dated = log_of().with_columns(day)
    for plan, valid, told in (
        (EncodingPlan(Declared(label="click")), None, True),
        (EncodingPlan(Declared(label="click")), dated, False),
        (EncodingPlan(Declared(label="click"), valid_fraction=0.2), None, False),
        (EncodingPlan(Declared(label="click", time="at")), None, False),
    ):
        prepared = prepare(
            open_table(dated), None if valid is None else open_table(valid), plan, LogProgress(), cache=tmp_path
        )
        assert ("--time at --datetime at" in prepared.inspection.hints) == told


def test_a_fraction_is_random_though_a_time_is_named(tmp_path: Path) -> None:
    plan = EncodingPlan(Declared(label="click", time="at"), valid_fraction=0.5)
    prepared, _ = run(tmp_path, log_of(), plan)
    assert prepared.valid is not None
    assert prepared.valid.labels.sum() == 5


def test_a_limit_is_for_both_tables(tmp_path: Path) -> None:
    log_of().write_csv(tmp_path / "valid.csv")
    prepared, _ = run(tmp_path, log_of(), replace(PLAN, limit_rows=12), valid=tmp_path / "valid.csv")
    assert prepared.valid is not None
    assert (len(prepared.train), len(prepared.valid), prepared.inspection.rows) == (12, 12, 12)


def test_a_refit_learns_from_both_parts(tmp_path: Path) -> None:
    later = log_of(8).with_columns(user=pl.lit("later"))
    split, _ = run(tmp_path, log_of(), valid=later)
    joined, _ = run(tmp_path, log_of(), valid=later, join=True)
    assert joined.valid is None
    assert len(joined.train) == 48
    assert joined.fingerprint != split.fingerprint
    assert 2 not in arrays_of(joined.train)[0][:, 0]
    assert split.valid is not None
    assert set(arrays_of(split.valid)[0][:, 0].tolist()) == {2}
    whole, _ = run(tmp_path, log_of(), join=True)
    assert len(whole.train) == 40


def test_a_validation_table_of_another_type_is_read_alike(tmp_path: Path) -> None:
    frame = log_of()
    frame.write_csv(tmp_path / "valid.csv")
    columns = frame.columns[::-1]
    typed, _ = run(tmp_path, frame, valid=frame.select(columns))
    texts, _ = run(tmp_path, frame, valid=tmp_path / "valid.csv")
    assert typed.valid is not None
    assert texts.valid is not None
    for own, other in zip(arrays_of(typed.valid), arrays_of(texts.valid), strict=True):
        np.testing.assert_array_equal(own, other)


# A share of the negatives


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("how", ["split", "file", "join"])
def test_negatives_that_stay_stand_for_those_left_out(weighted: bool, how: str, tmp_path: Path) -> None:
    frame = log_of(4000).with_columns(age=pl.int_range(pl.len()) + 0.5)
    declared = Declared(
        label="click", weight="w" if weighted else None, ignore=("user",) if weighted else ("user", "w")
    )
    plan = EncodingPlan(declared, negative_rate=0.1)
    options: dict[str, Any] = {"valid": log_of(100)} if how == "file" else {"join": how == "join"}
    whole, _ = run(tmp_path, frame, replace(plan, negative_rate=1.0), **options)
    thin, _ = run(tmp_path, frame, plan, **options)
    assert whole.train.weights is None or weighted
    assert thin.train.weights is not None
    own = np.ones(len(whole.train)) if whole.train.weights is None else whole.train.weights
    # Which rows stayed is told by their ages, which the scale of the other rows only stretches.
    (age,) = [i for i, f in enumerate(whole.encoder.space.fields) if f.name == "age"]
    row = whole.encoder.encodings[age].scale, thin.encoder.encodings[age].scale  # type: ignore[union-attr]
    stayed = arrays_of(thin.train)[1][:, age].astype(float) * row[1].std + row[1].mean
    kept = np.isin(
        np.round(arrays_of(whole.train)[1][:, age].astype(float) * row[0].std + row[0].mean - 0.5),
        np.round(stayed - 0.5),
    )
    assert kept.sum() == len(thin.train)
    labels = np.asarray(whole.train.labels)[:, 0]
    assert kept[labels == 1].all(), "every positive stays"
    assert 0.07 < kept[labels == 0].mean() < 0.13
    np.testing.assert_array_equal(thin.train.labels[:, 0], labels[kept])
    np.testing.assert_allclose(thin.train.weights, np.where(labels == 0, own / 0.1, own)[kept])
    assert thin.train.weights.sum() == pytest.approx(own.sum(), rel=0.1)
    if how == "join":
        assert thin.valid is None
    else:
        assert thin.valid is not None
        assert whole.valid is not None
        np.testing.assert_array_equal(thin.valid.labels, whole.valid.labels)
        for name in ("weights", "groups"):
            np.testing.assert_array_equal(getattr(thin.valid, name), getattr(whole.valid, name))


def test_a_vocabulary_is_learned_from_the_negatives_that_stay(tmp_path: Path) -> None:
    frame = pl.DataFrame({"click": [1] * 50 + [0] * 2000, "id": [f"u{i}" for i in range(2050)]})
    declared = Declared(label="click", categorical=("id",))
    thin, _ = run(tmp_path, frame, EncodingPlan(declared, negative_rate=0.1), join=True)
    assert thin.encoder.space.num_ids == 3 + len(thin.train)
    assert 2 not in arrays_of(thin.train)[0], "no value of training is unseen"


# Refusals


def write(folder: Path, text: str) -> Table:
    (folder / "ads.csv").write_text(text, encoding="utf-8")
    return open_table(folder / "ads.csv")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("click,x\n", "a table needs rows; ads.csv has a header and none"),
        (
            "click,x\n1,a\n1,b\n",
            "training needs both classes; all 2 rows of ads.csv have the label 1 in column 'click'",
        ),
        ("click,x\n0,\n1,\n", "a model needs at least one field; ads.csv has none"),
        ("click,x\n0,a\n,b\n", "column 'click' is missing in row 2 of ads.csv"),
        ("click,x\n0,a\n2,b\n", "column 'click' holds '2' in row 2 of ads.csv"),
        ("lick,x\n0,a\n1,b\n", "--label names a column of ads.csv: unknown column 'click'; did you mean 'lick'?"),
        ("click,x\n0,a\n1,b\n", "a random part holds no row of 2"),
    ],
)
def test_a_table_that_cannot_train_is_refused(text: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        prepare(write(tmp_path, text), None, PLAN, LogProgress(), cache=tmp_path / "cache")
    assert sentence in str(caught.value)
    assert list((tmp_path / "cache" / "encoded").iterdir()) == []


def test_training_rows_of_one_class_are_refused(tmp_path: Path) -> None:
    table = write(tmp_path, "click,x,at\n" + "0,a,1\n" * 9 + "1,b,2\n")
    plan = EncodingPlan(Declared(label="click", time="at"))
    with pytest.raises(DataError, match=r"all 9 training rows split off ads\.csv have the label 0 in column 'click'"):
        prepare(table, None, plan, LogProgress(), cache=tmp_path / "cache")


@pytest.mark.parametrize(
    ("valid", "sentence"),
    [
        ("click,x\n", "validation needs rows; ads.csv has a header and none"),
        ("click,y\n1,a\n", "column 'x' is missing from ads.csv; the training table the frame has it"),
        ("x\na\n", "column 'click' is missing from ads.csv"),
        ("click,x,w\n1,a,1\n5,a,1\n", "column 'click' holds '5' in row 2 of ads.csv"),
        ("click,x,n\n1,a,ten\n", "column 'n' holds 'ten' in row 1 of ads.csv"),
    ],
)
def test_a_validation_table_that_does_not_fit_is_refused(valid: str, sentence: str, tmp_path: Path) -> None:
    frame = pl.DataFrame({"click": [0, 1, 0], "x": ["a", "b", "c"]})
    if ",n\n" in valid:
        frame = frame.with_columns(n=pl.Series([0.5, 1.5, 2.5]))
    with pytest.raises(DataError) as caught:
        prepare(open_table(frame), write(tmp_path, valid), PLAN, LogProgress(), cache=tmp_path / "cache")
    assert sentence in str(caught.value)
    assert list((tmp_path / "cache" / "encoded").iterdir()) == []


@pytest.mark.parametrize(
    ("name", "content"), [("encoding.json", b""), ("train/ids.npy", None), ("inspection.json", b"{")]
)
def test_a_damaged_set_is_made_again_and_it_says_so(tmp_path: Path, name: str, content: bytes | None) -> None:
    log = log_of(4000)
    first, _ = run(tmp_path, log)
    before = arrays_of(first.train)
    (file,) = (tmp_path / "encoded").glob(f"*/{name}")
    file.write_bytes(file.read_bytes()[:500] if content is None else content)
    notes = Notes()
    again = prepare(open_table(log), None, PLAN, notes, cache=tmp_path)
    assert not notes.reused
    assert len([text for text in notes.warnings if "damaged" in text and "made again" in text]) == 1
    for old, new in zip(before, arrays_of(again.train), strict=True):
        np.testing.assert_array_equal(old, new)
    assert run(tmp_path, log)[1]


# What is told of the validation rows


def wide(rows: int = 400, *, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "click": np.arange(rows) % 2,
            "user": [f"u{user}" for user in rng.integers(0, 30, rows)],
            "ad": rng.integers(0, 10, rows),
            "price": rng.random(rows),
        }
    )


@pytest.mark.parametrize("join", [False, True])
def test_shares_of_both_parts_are_counted_and_kept(tmp_path: Path, join: bool) -> None:
    valid = wide(60, seed=1).with_columns(
        user=pl.when(pl.int_range(60) < 15).then(pl.lit("new")).otherwise("user"),
        price=pl.when(pl.int_range(60) < 30).then(None).otherwise("price"),
    )
    plan = EncodingPlan(Declared(label="click", categorical=("ad",)), min_count=2)
    for reused in (False, True):
        prepared, taken = run(tmp_path, wide(), plan, valid=valid, join=join)
        assert taken == reused
        assert prepared.counts["train"].fields["user"].rows == (460 if join else 400)
        if not join:
            assert prepared.shares == {
                "user": {"train": {"unseen": 0.0, "missing": 0.0}, "valid": {"unseen": 0.25, "missing": 0.0}},
                "ad": {"train": {"unseen": 0.0, "missing": 0.0}, "valid": {"unseen": 0.0, "missing": 0.0}},
                "price": {"train": {"missing": 0.0}, "valid": {"missing": 0.5}},
            }
            assert prepared.warnings == (
                "user: 25 % of the values were never seen in training (0 % in training), e.g. 'new'",
                "price: 50 % of the values are missing (0 % in training)",
            )
        else:
            assert prepared.warnings == ()


def test_rows_that_are_split_off_are_counted_and_nothing_told(tmp_path: Path) -> None:
    prepared, _ = run(tmp_path, wide().with_columns(user=pl.int_range(400).cast(pl.String) + "x"), full_wide())
    assert prepared.shares["user"]["valid"]["unseen"] == 1.0
    assert prepared.warnings == ()


def full_wide(**changes: Any) -> EncodingPlan:
    return EncodingPlan(**{"declared": Declared(label="click", categorical=("ad",))} | changes)


def test_negatives_that_are_left_out_are_not_counted(tmp_path: Path) -> None:
    prepared, _ = run(tmp_path, wide(), full_wide(negative_rate=0.5), valid=wide(60, seed=1))
    assert prepared.counts["train"].fields["user"].rows == len(prepared.train) < 400
    assert prepared.counts["valid"].fields["user"].rows == 60


def test_validation_rows_that_are_the_training_rows_are_told(tmp_path: Path) -> None:
    for reused in (False, True):
        prepared, taken = run(tmp_path, wide(), full_wide(), valid=wide())
        assert taken == reused
        assert prepared.warnings[-1].startswith(
            "the validation rows are the training rows: the frame is the table that is trained on"
        )
    shuffled = wide().sample(300, shuffle=True, seed=1)
    (told,) = run(tmp_path, wide(), full_wide(), valid=shuffled)[0].warnings
    assert told.startswith("100 % of the validation rows are training rows too, label and all fields alike (of the")
    wide().write_csv(tmp_path / "train.csv")
    wide().write_csv(tmp_path / "again.csv")
    os.utime(tmp_path / "again.csv", (0, 0))  # a copy, made at another time
    (told,) = run(tmp_path, tmp_path / "train.csv", full_wide(), valid=tmp_path / "again.csv")[0].warnings
    assert told.startswith("100 % of the validation rows are training rows too")
    assert run(tmp_path, wide(), full_wide(), valid=wide(seed=1))[0].warnings == ()
