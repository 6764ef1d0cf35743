from __future__ import annotations

import pytest

from masknet.errors import ArtifactError, ConfigError, DataError, MasknetError, unknown


@pytest.mark.parametrize("kind", [DataError, ConfigError, ArtifactError])
def test_one_tree(kind: type[MasknetError]) -> None:
    assert issubclass(kind, MasknetError)
    assert not issubclass(kind, OSError)
    assert issubclass(kind, ValueError) == (kind is not ArtifactError)  # what scikit-learn expects of X, y and settings


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("batch_sise", "unknown option 'batch_sise'; did you mean 'batch_size'?"),
        ("qqq", "unknown option 'qqq'; known: batch_size, epochs"),
        ("", "unknown option ''; known: batch_size, epochs"),
    ],
)
def test_an_unknown_name_offers_the_nearest(name: str, sentence: str) -> None:
    assert unknown("option", name, {"epochs": 1, "batch_size": 2}) == sentence
