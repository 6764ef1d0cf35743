"""Experiments: those of the paper build its networks, and a file that is none is refused in a sentence."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from masknet.compare import EXPERIMENTS, read_experiment
from masknet.compare.entries import Entry
from masknet.compare.equal_size import at_equal_size
from masknet.compare.experiment import _TRAINING
from masknet.config import RunConfig
from masknet.errors import ConfigError
from masknet.space import FeatureSpace, FieldSpace
from masknet.train import network_defaults
from masknet.train.size import size_of

FIELDS, IDS = 22, 1000
SPACE = FeatureSpace(IDS, tuple(FieldSpace(f"f{i}") for i in range(FIELDS)))


def parameters(name: str) -> dict[str, int]:
    """Of each row's network, but for the rows of its embedding."""
    found = {}
    for entry in at_equal_size(read_experiment(name).entries, SPACE):
        settings = network_defaults(entry.model, entry.settings) | dict(entry.settings)
        total = size_of(entry.model, SPACE, settings, members=1, batch_size=1).parameters
        found[entry.name] = total - IDS * settings["embedding_dim"]
    return found


def by_hand(
    blocks: list[int | None], *, k: int = 10, r: float | None = 2, norms: bool = True, parallel: bool = False
) -> int:
    """The paper's count: a mask of `m t + t + t z + z`, a layer `z q`, and `2 q` of its norm, for each block."""
    m = z = FIELDS * k
    total = 2 * m if norms else 0
    merged = 0
    for q in blocks:
        if r is not None:
            t = round(r * z)
            total += m * t + t + t * z + z
        out = z if q is None else q
        total += (0 if q is None else z * q) + (2 * out if norms else 0)
        z, merged = (m if parallel else out), merged + out
    if not parallel:
        return total + z + 1
    for q in (400, 400, 400):
        total, merged = total + merged * q + q, q
    return total + merged + 1


BLOCKS: list[int | None] = [400, 400, 400]


def test_the_full_networks_are_the_papers() -> None:
    assert by_hand(BLOCKS) == 1_599_901
    for name in ("table2", "table3"):
        found = parameters(name)
        serial, parallel = (found.get(kind) or found[f"{kind}-masknet"] for kind in ("serial", "parallel"))
        assert (serial, parallel) == (1_599_901, 1_651_221)


@pytest.mark.parametrize("parallel", [False, True])
def test_the_ablations_leave_out_what_they_say(parallel: bool) -> None:
    kind, found = "parallel" if parallel else "serial", parameters("table3")
    assert found[kind] == by_hand(BLOCKS, parallel=parallel)
    assert found[f"{kind} without mask"] == by_hand(BLOCKS, r=None, parallel=parallel)
    assert found[f"{kind} without layer norm"] == by_hand(BLOCKS, norms=False, parallel=parallel)
    assert found[f"{kind} without feed-forward"] == by_hand([None] * 3, parallel=parallel)
    assert found[f"dnn as large as {kind}"] == pytest.approx(found[kind], rel=2e-3)


@pytest.mark.parametrize("parallel", [False, True])
def test_the_sweeps_are_the_papers(parallel: bool) -> None:
    kind = "parallel" if parallel else "serial"
    for name, values, said in (
        ("table4", {f"k {k}": {"k": k} for k in (10, 20, 30, 50, 80)}, {}),
        ("table6", {f"r {r}": {"r": r} for r in (1, 2, 3, 4, 5)}, {}),
        ("table5", {f"{u} block{'s' if u > 1 else ''}": {"blocks": [400] * u} for u in (1, 3, 5, 7, 9)}, {}),
    ):
        found = {row: count for row, count in parameters(name).items() if row.startswith(kind)}
        expected: dict[str, Any] = {
            f"{kind} {row}": by_hand(**{"blocks": BLOCKS, **said, **value}, parallel=parallel)
            for row, value in values.items()
        }
        assert found == expected


def test_table_2_is_of_the_papers_eight_systems() -> None:
    entries = read_experiment("table2").entries
    assert [entry.name for entry in entries] == [entry.model for entry in entries]
    assert {entry.model for entry in entries} == {
        *("fm", "dnn", "deepfm", "dcn", "xdeepfm", "autoint", "serial-masknet", "parallel-masknet")
    }
    for entry in entries:
        assert entry.settings["embedding_dim"] == 10
        layers = [value for key, value in entry.settings.items() if key in ("hidden_dims", "top_dims", "block_dims")]
        assert all(value == [400, 400, 400] for value in layers)


def test_all_are_trained_as_section_4_says() -> None:
    assert EXPERIMENTS == ("table2", "table3", "table4", "table5", "table6")
    for name in EXPERIMENTS:
        config = RunConfig(**read_experiment(name).settings)
        assert (config.batch_size, config.learning_rate, config.schedule) == (1024, 1e-4, "constant")
        assert (config.embedding_l2, config.network_l2, config.average_weights) == (0, 0, 0)


def test_what_it_may_say_for_all_rows_concerns_training() -> None:
    for name in _TRAINING:
        extra = RunConfig.model_fields[name].json_schema_extra
        assert isinstance(extra, dict)
        assert extra["panel"] == "Model and training"


def own(content: Any, place: Path = Path("own.json")) -> str:
    place.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(place)


@pytest.fixture(autouse=True)
def _there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_one_of_the_users_own_has_names_ensembles_and_settings() -> None:
    rows = [{"model": "fm"}, {"name": "two, of them", "model": "fm+2", "set": {"embedding_dim": 3}}]
    experiment = read_experiment(own({"settings": {"epochs": 3}, "rows": rows}), ["two, of them.embedding_dim=4"])
    assert experiment.settings == {"epochs": 3}
    assert [(e.name, e.kind, e.members, e.stem) for e in experiment.entries] == [
        ("fm", "fm", None, "fm"),
        ("two, of them", "fm+2", 2, "two-of-them"),
    ]
    assert experiment.entries[1].settings == {"embedding_dim": 4}


def equal(to: str = "a", by: str = "hidden_dims", model: str = "dnn", **row: Any) -> dict[str, Any]:
    sized = {"name": "b", "model": model, "set": {"hidden_dims": [4]}, "equal_parameters": {"to": to, "by": by}}
    return {"rows": [{"name": "a", "model": "fm"}, {"name": "c", "model": "gbdt"}, {**sized, **row}]}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("rows: [", "is not YAML"),
        ("[]", "a file of an experiment is a mapping of settings to values"),
        ({}, "lists its rows, at least one, under 'rows'; got None"),
        ({"rows": []}, "lists its rows, at least one, under 'rows'; got []"),
        ({"rows": ["fm"]}, "a row is a mapping with a 'model'; row 1 is 'fm'"),
        ({"row": [{"model": "fm"}]}, "unknown key of an experiment 'row'; did you mean 'rows'?"),
        ({"rows": [{"model": "fm", "sets": {}}]}, "row 1: unknown key of a row 'sets'; did you mean 'set'?"),
        ({"rows": [{"name": "fm"}]}, "row 1: a row names its model; got None"),
        ({"rows": [{"model": "fm"}, {"model": "dn"}]}, "row 2: unknown model 'dn'; did you mean 'dnn'?"),
        ({"rows": [{"model": "fm", "set": {"k": 3}}]}, "row 1: unknown option of fm 'k'"),
        ({"rows": [{"model": "fm", "set": [3]}]}, "row 1: 'set' is a mapping of names to values; got [3]"),
        ({"rows": [{"model": "fm", "settings": {"epoch": 1}}]}, "row 1: unknown setting of an experiment 'epoch'; did"),
        ({"rows": [{"model": "fm", "settings": {"epochs": 0}}]}, "row 1: the 'epochs' setting must be greater than"),
        ({"rows": [{"model": "gbdt", "settings": {"epochs": 3}}]}, "row 1: a setting has an effect; gbdt grows trees"),
        ({"rows": [{"model": "gbdt+2"}]}, "row 1: an ensemble is of networks"),
        ({"rows": [{"model": "fm", "name": "a=b"}]}, "row 1: a row's name is a text of one line without =; got 'a=b'"),
        ({"rows": [{"model": "fm", "name": ""}]}, "row 1: a row's name is a text of one line without =; got ''"),
        ({"rows": [{"model": "fm", "name": 3}]}, "row 1: a row's name is a text of one line without =; got 3"),
        ({"rows": [{"model": ""}]}, "row 1: unknown model ''"),
        (
            {"rows": [{"model": "fm", "name": "x" * 500}]},
            "in at most 200 bytes; 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...",
        ),
        ({"rows": [{"model": "fm", "name": "\u3042" * 67}]}, "takes 201: shorten it"),
        ("rows: [{model: fm, set: {embedding_dim: 2020-01-01}}]", "row 1: the 'set' setting must be made of finite"),
        ("rows: [{model: fm, set: &a {embedding_dim: *a}}]", "row 1: the 'set' setting must be made of finite numbers"),
        (
            {"rows": [{"model": "fm+2", "settings": {"members": 3}}]},
            "it is fm+2, and has 3 under 'settings': leave one",
        ),
        (equal(equal_parameters={}), "'equal_parameters' names another row and the keyword"),
        ({"rows": [{"model": "fm"}, {"model": "fm"}]}, "each row has a name of its own; 'fm' stands twice"),
        (
            {"rows": [{"model": "fm", "name": "no mask"}, {"model": "fm", "name": "No, mask"}]},
            "those of 'no mask' and of 'No, mask' would have one name",
        ),
        ({"rows": [{"model": "fm"}], "settings": {"label": "x"}}, "unknown setting of an experiment 'label'"),
        ({"rows": [{"model": "fm"}], "settings": {"epoch": 1}}, "did you mean 'epochs'?"),
        ({"rows": [{"model": "fm"}], "settings": {"epochs": 0}}, "the 'epochs' setting must be greater than"),
        (equal(to="d"), "row 'b' is to equal another one: unknown row 'd'"),
        (equal(to="b"), "row 'b' is to equal a row whose widths are said; 'b' is none"),
        (equal(to="c"), "row 'b' and 'c' are to have equal parameters; gbdt has none"),
        (equal(by="widths"), "as many widths of 'widths' as it is to have layers"),
        (equal(set={}), "as many widths of 'hidden_dims' as it is to have layers, such as [400, 400, 400]; got None"),
        (equal(equal_parameters={"to": "a"}), "'equal_parameters' names another row and the keyword"),
    ],
)
def test_what_is_no_experiment_is_refused(content: Any, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        read_experiment(own(content))
    assert said in str(error.value)
    assert "own.json" in str(error.value)


def test_a_name_that_is_none_offers_the_nearest() -> None:
    for name, said in (
        ("tabel3", "unknown experiment 'tabel3'; did you mean 'table3'?"),
        ("mine", "known: table2, table3, table4, table5, table6 (one of your own is a file that ends in .yaml)"),
        ("mine.yaml", "no file of an experiment at 'mine.yaml'"),
        ("MINE.YML", "no file of an experiment at 'MINE.YML'"),
    ):
        with pytest.raises(ConfigError) as error:
            read_experiment(name)
        assert said in str(error.value)
    with pytest.raises(ConfigError, match=r"lists under 'set' as many widths of 'hidden_dims' .*; got 7"):
        read_experiment("table3", ["dnn as large as serial.hidden_dims=7"])
    with pytest.raises(ConfigError, match="unknown row of table3 'serail'; did you mean 'serial'"):
        read_experiment("table3", ["serail.reduction=1"])


@pytest.mark.parametrize(
    ("ensemble", "alone"),
    [({"model": "fm+3"}, {}), ({"model": "fm", "settings": {"members": 3}}, {}), ({"model": "fm"}, {"model": "dnn+2"})],
)
def test_the_parameters_of_all_members_count(ensemble: dict[str, Any], alone: dict[str, Any]) -> None:
    rows = [{"name": "a", **ensemble, "set": {"embedding_dim": 40}}, {**equal()["rows"][2], **alone}]
    first, found = at_equal_size(read_experiment(own({"rows": rows})).entries, SPACE, members=5)

    def count(entry: Entry) -> int:
        members = entry.config(RunConfig(members=5), 0)[0].members
        assert members is not None
        settings = network_defaults(entry.model, dict(entry.settings)) | dict(entry.settings)
        return members * size_of(entry.model, SPACE, settings, members=1, batch_size=1).parameters

    wanted = count(first)
    (width,) = found.settings["hidden_dims"]
    assert width > 2
    sized = [replace(found, settings={**found.settings, "hidden_dims": [w]}) for w in (width, width - 1, width + 1)]
    off = [abs(count(entry) - wanted) for entry in sized]
    assert off[0] == min(off)


@pytest.mark.parametrize("size", [-3, 10**9, 10**20])
def test_a_size_that_no_network_has_is_told_with_the_rows(size: int) -> None:
    rows = [{"name": "a", "model": "serial-masknet", "set": {"embedding_dim": size}}, *equal()["rows"][2:]]
    with pytest.raises(ConfigError, match=r"^row 'b' is to equal row 'a': .*(of at least 1|must fit in memory)"):
        at_equal_size(read_experiment(own({"rows": rows})).entries, SPACE)


@pytest.mark.parametrize("model", ["lr", "fm", "autoint", "finalmlp", "parallel-masknet"])
def test_a_network_comes_as_near_to_any_other_as_one_width_can(model: str) -> None:
    rows = [{"name": "a", "model": model}, *equal()["rows"][2:]]
    rows[1]["set"] = {"hidden_dims": [1, 1], "dropout": 0.2}
    first, found = at_equal_size(read_experiment(own({"rows": rows})).entries, SPACE)
    assert dict(found.settings) | {"hidden_dims": None} == {"hidden_dims": None, "dropout": 0.2}

    def count(model: str, settings: dict[str, Any]) -> int:
        settings = network_defaults(model, settings) | settings
        return size_of(model, SPACE, settings, members=1, batch_size=1).parameters

    wanted, (width, again) = count(model, dict(first.settings)), found.settings["hidden_dims"]
    assert width == again
    off = {w: abs(count("dnn", {"hidden_dims": [w, w]}) - wanted) for w in (width - 1, width, width + 1) if w >= 2}
    assert off[width] == min(off.values())
