"""Click logs to try things on: each is fetched or made once, and kept in the user's cache."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from platformdirs import user_cache_path

from masknet.datasets.dataset import Dataset, DatasetFiles
from masknet.datasets.movielens import MOVIELENS_100K
from masknet.datasets.planted import PLANTED, planted_log
from masknet.errors import ConfigError, DataError, unknown
from masknet.progress import LogProgress, Progress

__all__ = ["DATASETS", "Dataset", "DatasetFiles", "fetch", "planted_log"]

DATASETS: dict[str, Dataset] = {dataset.name: dataset for dataset in (MOVIELENS_100K, PLANTED)}


def fetch(name: str, cache: Path | None = None, *, progress: Progress | None = None) -> DatasetFiles:
    """Put a data set on this machine, or find it there, and say where its files are.

    The folder appears whole or not at all, so that a fetch that was cut off leaves nothing to trip over.

    Args:
        name: a key of `DATASETS`.
        cache: the folder that keeps data sets; the user's own cache unless given.
        progress: told what is done.

    Raises:
        ConfigError: no data set has this name.
        DataError: it cannot be had (no network, another checksum) or not be written.

    >>> with tempfile.TemporaryDirectory() as cache:
    ...     fetch("planted", Path(cache)).exist()
    True
    """
    if name not in DATASETS:
        raise ConfigError(unknown("data set", name, DATASETS))
    dataset = DATASETS[name]
    home = cache or user_cache_path("masknet") / "datasets"
    folder = home / f"{name}-{dataset.revision}"
    files = DatasetFiles.under(folder)
    if files.exist():
        return files
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home, prefix=".unfinished-") as scratch:
            built = Path(scratch) / "built"
            built.mkdir()
            dataset.build(built, progress or LogProgress())
            _publish(built, folder)
    except OSError as error:
        raise DataError(
            f"a data set is kept in a folder that can be written; {home} cannot be ({error.strerror or error}); "
            "make room there or name another cache folder"
        ) from error
    return files


def _publish(built: Path, folder: Path) -> None:
    """Give the finished folder its name; where another process was first, its copy is as good as ours."""
    if folder.exists() and not DatasetFiles.under(folder).exist():
        shutil.rmtree(folder)  # somebody deleted a file of it
    try:
        built.rename(folder)
    except OSError:
        if not DatasetFiles.under(folder).exist():
            raise
