from __future__ import annotations

from dataclasses import replace

import pytest

from masknet.compare import entries_of
from masknet.config import RunConfig
from masknet.errors import ConfigError
from masknet.gbdt import TREES
from masknet.models import MODELS
from masknet.space import FeatureSpace, FieldSpace

SPACE = FeatureSpace(num_ids=9, fields=(FieldSpace("user"),))


def test_all_are_all_models() -> None:
    assert [entry.name for entry in entries_of(["all", "dnn+2"])] == [*MODELS, *TREES, "dnn+2"]


def test_a_set_reaches_the_model_that_it_names() -> None:
    entries = entries_of(["fm", "dnn", "dnn+4"], ["dnn+4.embedding_dim=4", "fm.embedding_dim=8"])
    assert [dict(entry.settings) for entry in entries] == [{"embedding_dim": 8}, {}, {"embedding_dim": 4}]


@pytest.mark.parametrize(
    ("models", "settings", "said"),
    [
        (["fm", "fm"], [], "'fm' stands twice"),
        (["gbdt+4"], [], "an ensemble is of networks"),
        (["adpredictor+2"], [], "an ensemble is of networks"),
        (["dnn+0"], [], "1 to 1,000 members"),
        (["fm"], ["dnn.embedding_dim=4"], "unknown model of --models 'dnn'"),
        (["fm"], ["embedding_dim=4"], "MODEL.KEY=VALUE; got 'embedding_dim=4'"),
        (["fm"], ["fm.embedding_dims=4"], "did you mean 'embedding_dim'?"),
        (["fm"], ["fm.embedding_dim"], "MODEL.KEY=VALUE"),
        (["gbdt"], ["gbdt.num_leafs=4"], "did you mean 'num_leaves'?"),
        ([], [], "a comparison is of models"),
        (["fm"], ["fm.embedding_dim=2020-01-01"], "the 'set' setting must be made of finite numbers"),
        (["fm"], ["fm.embedding_dim=.nan"], "the 'set' setting must be made of finite numbers"),
        (["fm"], ["fm.embedding_dim=&a [*a]"], "the 'set' setting must be made of finite numbers"),
        (["fm+\N{ARABIC-INDIC DIGIT THREE}"], [], "unknown model 'fm+"),
    ],
)
def test_what_is_refused(models: list[str], settings: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as error:
        entries_of(models, settings)
    assert said in str(error.value)


def test_members_are_those_of_the_name_or_of_all_and_else_one() -> None:
    fm, ensemble, trees = entries_of(["fm", "fm+4", "gbdt"])
    for given, expected in ((None, (1, 4, None)), (2, (2, 4, None))):
        shared = RunConfig(label="click", members=given)
        assert tuple(entry.config(shared, 0)[0].members for entry in (fm, ensemble, trees)) == expected
    own = replace(fm, run={"members": 3})
    assert own.config(RunConfig(label="click", members=2), 0)[0].members == 3
    assert trees.config(RunConfig(label="click", members=2, epochs=1), 0)[1] == ("epochs", "members")


def test_who_has_no_place_is_skipped_with_the_reason() -> None:
    fm, trees, by_row, latent = entries_of(["fm", "gbdt", "adpredictor", "latent-cross"])
    config = RunConfig(label="click")
    assert [entry.why_skipped(config, SPACE) for entry in (fm, trees, by_row)] == [None, None, None]
    assert "--ordered" in str(latent.why_skipped(config, SPACE))
    ordered = FeatureSpace(9, (FieldSpace("seen", kind="bag", slots=2, ordered=True),))
    assert latent.why_skipped(config, ordered) is None
    both = FeatureSpace(9, (FieldSpace("user"),), num_tasks=2)
    config = RunConfig(label=("click", "like"))
    assert "learns one label, and there are 2" in str(trees.why_skipped(config, both))
    assert "learns one label, and there are 2" in str(by_row.why_skipped(config, both))
    assert "--weight" in str(by_row.why_skipped(RunConfig(label="click", weight="w"), SPACE))
    assert fm.why_skipped(RunConfig(label="click", weight="w"), SPACE) is None
