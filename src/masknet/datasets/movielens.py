"""MovieLens-100K as a click log: a rating of 4 or 5 is a click.

The ratings travel inside the wheel of a Python package. It is downloaded by the package client and its checksum is
verified; three text files are read out of it, and nothing of it is installed or run.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import polars as pl

from masknet.datasets.dataset import Dataset, write_split
from masknet.errors import DataError
from masknet.progress import Progress

WHEEL = "recbole-1.2.1-py3-none-any.whl"
REQUIREMENT = "recbole==1.2.1"
SHA256 = "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407"
MEMBER = "recbole/dataset_example/ml-100k/ml-100k."
SECONDS = 120  # the wheel has 2 MB; who waits longer has no network worth the name

TERMS = """\
MovieLens-100K was collected by the GroupLens Research Project at the University of Minnesota.
It is free for research; any commercial use needs their permission, and so does passing the data on.
Whoever publishes results with it names the source (Harper and Konstan, The MovieLens Datasets: History and Context,
ACM TiiS 5(4), 2015) and does not suggest that GroupLens or the university stands behind the work.
It comes with no warranty. The full terms are in the data set's README, at grouplens.org/datasets/movielens/100k."""


def click_log(ratings: bytes, users: bytes, items: bytes) -> pl.DataFrame:
    """Join the three files, each tab-separated under a header like `user_id:token`, into one row a rating.

    The rating itself is left out, since the label is made from it. Hours and weekdays (0 is Monday) are in UTC. Rows
    are in order of time.

    Raises:
        DataError: a rating names a user or a film that its file does not have.
    """
    log = (
        _read(ratings)
        .join(_read(users), on="user_id", how="left", validate="m:1")
        .join(_read(items), on="item_id", how="left", validate="m:1")
        .with_columns(pl.col("timestamp").cast(pl.Float64).cast(pl.Int64))
    )
    if log["gender"].null_count() or log["class"].null_count():
        raise DataError("every MovieLens rating names a known user and film; this copy lacks some: fetch it again")
    when = pl.from_epoch("timestamp", time_unit="s")
    return log.select(
        label=(pl.col("rating").cast(pl.Float64) >= 4).cast(pl.Int8),
        user_id=pl.col("user_id").cast(pl.Int64),
        item_id=pl.col("item_id").cast(pl.Int64),
        age_bucket=pl.col("age").cast(pl.Int64) // 10,
        gender="gender",
        occupation="occupation",
        zip3=pl.col("zip_code").str.slice(0, 3),
        genres="class",
        first_genre=pl.col("class").str.split(" ").list.first(),
        # Two films have a word where the year should be: they have no year.
        release_year=pl.col("release_year").str.extract(r"^(\d{4})$"),
        weekday=when.dt.weekday().cast(pl.Int64) - 1,
        hour=when.dt.hour().cast(pl.Int64),
        timestamp="timestamp",
    ).sort("timestamp", "user_id", "item_id")


def _read(text: bytes) -> pl.DataFrame:
    table = pl.read_csv(io.BytesIO(text), separator="\t", quote_char=None, infer_schema=False)
    return table.rename({name: name.split(":")[0] for name in table.columns})


def _download(folder: Path) -> Path:
    """Ask the package client for the wheel; it looks where the user's own settings tell it to."""
    wanted = folder / "wanted.txt"
    wanted.write_text(f"{REQUIREMENT} --hash=sha256:{SHA256}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"]
    command += ["--retries", "1", "--timeout", "15", "--no-deps", "--only-binary=:all:", "--require-hashes"]
    command += ["--requirement", str(wanted), "--dest", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired as error:
        raise _not_fetched(f"no answer within {SECONDS} seconds") from error
    except subprocess.CalledProcessError as error:
        said = [line for line in error.stderr.splitlines() if line.strip()] or [f"exit code {error.returncode}"]
        raise _not_fetched(said[-1].removeprefix("ERROR: ")) from error
    return folder / WHEEL


def _not_fetched(why: str) -> DataError:
    return DataError(
        f"MovieLens-100K is fetched by pip, which failed: {why}; "
        "look at the network, or use the data set 'planted', which needs none"
    )


def _verified(wheel: Path) -> Path:
    if not wheel.is_file():
        raise _not_fetched(f"it left no file {wheel.name}")
    found = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if found != SHA256:
        raise _not_fetched(f"{wheel.name} should have the SHA-256 {SHA256[:12]}..., and has {found[:12]}...")
    return wheel


def _build(folder: Path, progress: Progress) -> None:
    progress.note("fetching MovieLens-100K (2 MB)")
    with tempfile.TemporaryDirectory() as scratch, zipfile.ZipFile(_verified(_download(Path(scratch)))) as wheel:
        log = click_log(*(wheel.read(MEMBER + part) for part in ("inter", "user", "item")))
    write_split(log, folder, seed=0)


MOVIELENS_100K = Dataset(
    name="movielens-100k",
    description="100 000 film ratings of 943 people, 1997 to 1998; a click is a rating of 4 or 5",
    rows=100_000,
    terms=TERMS,
    label="label",
    categorical=(
        "user_id",
        "item_id",
        "age_bucket",
        "gender",
        "occupation",
        "zip3",
        "genres",
        "first_genre",
        "release_year",
        "weekday",
        "hour",
    ),
    numeric=(),
    ignore=("timestamp",),
    time="timestamp",
    build=_build,
)
