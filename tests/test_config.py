from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from masknet.config import RunConfig, Said, parse_setting, read_run_file
from masknet.encode import Declared, EncodingPlan
from masknet.errors import ConfigError
from masknet.schema import moment_column


def run_file(folder: Path, text: str) -> dict[str, Any]:
    path = folder / "run.yaml"
    path.write_text(text, encoding="utf-8")
    return read_run_file(path)


CONFIG = RunConfig(
    data=Path("a.parquet"),
    label="click",
    time="at",
    valid_after="2026-01-31",
    categorical=["user", "item, city"],
    min_count=1,
    max_vocabulary=100,
    unseen_rate=0,
    set={"block_dims": (400, 400), "reduction": 1e-3, "dropout": None, "deep": [{"a": True}]},
    learning_rate=1e-4,
    clip=None,
    seed=2**63 - 1,
    json=True,
)


# Settings


def test_settings_round_trip() -> None:
    assert RunConfig(**CONFIG.settings()) == CONFIG
    assert RunConfig(**json.loads(json.dumps(CONFIG.settings()))) == CONFIG
    assert RunConfig(**RunConfig().settings()) == RunConfig()


@pytest.mark.parametrize("form", ["YAML", "JSON", "JSON with tabs and escapes"])
def test_settings_round_trip_through_a_run_file(form: str, tmp_path: Path) -> None:
    config = CONFIG.replace(data="/data/a.parquet", label='clic "🙂" \\ é')
    text = {
        "YAML": yaml.safe_dump(config.settings(), allow_unicode=True),
        "JSON": json.dumps(config.settings(), ensure_ascii=False),
        "JSON with tabs and escapes": json.dumps(config.settings(), indent="\t"),
    }[form]
    assert RunConfig(**run_file(tmp_path, text)) == config


def test_replace_checks_and_leaves_the_original() -> None:
    assert CONFIG.replace(epochs=3).epochs == 3
    assert CONFIG.replace(categorical="a").set == CONFIG.set
    assert CONFIG.epochs is None
    with pytest.raises(ConfigError, match="the 'epochs' setting must be greater than or equal to 1; got 0"):
        CONFIG.replace(epochs=0)


def test_a_configuration_does_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        CONFIG.epochs = 3  # type: ignore[misc]
    RunConfig().set["reduction"] = 1
    assert RunConfig().set == {}


def test_a_list_holds_names_verbatim_and_a_text_several() -> None:
    odd = ("price, EUR", " device", "")
    assert CONFIG.categorical == ("user", "item, city")
    assert RunConfig(ignore=list(odd)).ignore == RunConfig(ignore=odd).ignore == odd
    assert RunConfig(ignore="a,b, ").ignore == ("a", "b")
    assert RunConfig(numeric=()).numeric == ()


def test_a_text_is_a_name_where_the_table_has_it() -> None:
    config = RunConfig(data="a.csv", ignore="price, EUR", numeric=Said(("a, b", " device", "")), bag=["x,y"], epochs=3)
    assert (config.ignore, config.numeric) == (("price", "EUR"), ("a", "b", "device"))
    assert config.of_table(["a", "b"]) == config.replace()
    found = config.of_table(["price, EUR", " device", "", "x", "y"])
    assert (found.ignore, found.numeric, found.bag) == (("price, EUR",), ("a", "b", " device", ""), ("x,y",))
    assert found == RunConfig(**found.settings())
    assert found.of_table([]) == found
    assert RunConfig(columns="a,b").of_table(["a,b"]).columns == ("a", "b")


def test_a_run_file_says_names_alike(tmp_path: Path) -> None:
    config = RunConfig(**run_file(tmp_path, "ignore: a, b\ncategorical: ['a, b', ' c']\nhash: {x=y: 5}\n"))
    assert (config.ignore, config.categorical, config.hash) == (("a", "b"), ("a, b", " c"), {"x=y": 5})
    assert config.of_table(["a, b"]).ignore == ("a, b",)


@pytest.mark.parametrize(
    ("setting", "text", "columns", "pair"),
    [
        ("hash", "user=5", (), {"user": 5}),
        ("hash", " user =5", (), {"user": 5}),
        ("hash", "a=b=5", (), {"a=b": 5}),
        ("hash", " user=5", [" user", "user"], {" user": 5}),
        ("hash", "=5", [""], {"": 5}),
        ("max_length", "price, EUR=5", ["price, EUR"], {"price, EUR": 5}),
        ("pooling", "a=b=sum", ["a", "a=b"], {"a=b": "sum"}),
        ("separator", "tags==", (), {"tags": "="}),
        ("separator", "a=b==", ["a=b"], {"a=b": "="}),
        ("share", "a=b=c", (), {"a": "b=c"}),
        ("share", "a=b=c", ["a=b", "c"], {"a=b": "c"}),
        ("pretrained", "item=day=3/v.txt", ["item"], {"item": "day=3/v.txt"}),
        ("set", "activation=a=b", (), {"activation": "a=b"}),
    ],
)
def test_a_pair_is_parted_where_a_name_ends(setting: str, text: str, columns: Any, pair: dict[str, Any]) -> None:
    assert getattr(RunConfig(**{setting: Said((text,))}).of_table(columns), setting) == pair


def test_pairs_are_added_to_those_of_a_run_file() -> None:
    config = RunConfig(hash=Said(("a=b=7", "c=8"), {"c": 1, "d": 2})).of_table(["a=b"])
    assert config.hash == {"c": 8, "d": 2, "a=b": 7}
    labels = {"label": ["a", "a=b"], "task_weight": Said(("a=b=2",))}
    assert RunConfig(**labels, positive=["a=b=x", "a=y"]).positive == {"a=b": "x", "a": "y"}
    assert RunConfig(**labels).task_weight == {"a=b": 2.0}


def test_a_format_of_moments_may_hold_a_comma() -> None:
    assert RunConfig(datetime=Said(("a,b", "at=%b %d, %Y"))).datetime == ("a", "b", "at=%b %d, %Y")
    said = {"at": "%b %d, %Y", "seen": None, "x=y": "%d.%m.%Y"}
    assert RunConfig(datetime=said).datetime == ("at=%b %d, %Y", "seen", "x=y=%d.%m.%Y")
    assert moment_column("x=y=%d.%m.%Y") == ("x=y", "%d.%m.%Y")
    assert moment_column("a=b") == ("a=b", None)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"batch_sise": 5}, "unknown option 'batch_sise'; did you mean 'batch_size'?"),
        ({"json_output": True}, "unknown option 'json_output'"),
        ({"epochs": 0}, "the 'epochs' setting must be greater than or equal to 1; got 0"),
        ({"epochs": 2.5}, "the 'epochs' setting must be a valid integer"),
        ({"epochs": "many"}, "the 'epochs' setting must be a valid integer"),
        ({"valid_fraction": 1}, "the 'valid_fraction' setting must be less than 1; got 1"),
        ({"valid_fraction": 0}, "the 'valid_fraction' setting must be greater than 0; got 0"),
        ({"unseen_rate": 1}, "the 'unseen_rate' setting must be less than 1; got 1"),
        ({"learning_rate": 0}, "the 'learning_rate' setting must be greater than 0; got 0"),
        ({"learning_rate": float("nan")}, "the 'learning_rate' setting must be a finite number; got nan"),
        ({"embedding_l2": float("inf")}, "the 'embedding_l2' setting must be a finite number; got inf"),
        ({"seed": -1}, "the 'seed' setting must be greater than or equal to 0; got -1"),
        ({"seed": 2**63}, f"the 'seed' setting must be less than {2**63}"),
        ({"precision": "fp16"}, "the 'precision' setting must be 'bf16' or 'fp32'; got 'fp16'"),
        ({"embedding_updates": "lazy"}, "the 'embedding_updates' setting must be 'dense' or 'sparse'; got 'lazy'"),
        ({"schedule": "cosine"}, "the 'schedule' setting must be 'plateau' or 'constant'; got 'cosine'"),
        ({"label": 5}, "the 'label' setting must be a valid string; got 5"),
        ({"categorical": [1]}, "the 'categorical.0' setting must be a valid string; got 1"),
        ({"valid_after": True, "time": "at"}, "the 'valid_after' setting must be a valid string; got True"),
        ({"verify": "perhaps"}, "the 'verify' setting must be a valid boolean"),
        ({"set": 5}, "the 'set' setting must be a valid dictionary; got 5"),
        ({"set": {"a": float("nan")}}, "the 'set' setting must be made of finite numbers, texts"),
        ({"set": {"a": object}}, "the 'set' setting must be made of finite numbers, texts"),
        ({"valid": "v.csv", "valid_fraction": 0.1}, "said once; got valid and valid_fraction; keep one of them"),
        ({"valid_after": "5"}, "valid_after needs time, the column that it is compared with; name it"),
    ],
    ids=lambda case: next(iter(case)) if isinstance(case, dict) else "",
)
def test_a_wrong_setting_gets_a_sentence(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        RunConfig(**settings)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [field.alias or name for name, field in RunConfig.model_fields.items()])
def test_every_setting_says_what_it_is(name: str) -> None:
    field = RunConfig.model_fields["json_output" if name == "json" else name]
    assert field.description
    assert field.description.endswith(".")
    assert isinstance(field.json_schema_extra, dict)
    assert field.json_schema_extra["panel"] in ("Data", "Model and training", "Output")
    with pytest.raises(ConfigError, match=f"did you mean '{name}'"):
        RunConfig(**{f"{name}_": 1})


# The value of --set


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("400", 400),
        ("1e-3", 1e-3),
        ("1E5", 1e5),
        ("-.5e1", -5.0),
        ("2.", 2.0),
        ("true", True),
        ("null", None),
        ("", None),
        ("mean", "mean"),
        ("1e-3x", "1e-3x"),
        ("'007'", "007"),
        ("[400, 1e2]", [400, 100.0]),
        ("{a: 1}", {"a": 1}),
    ],
)
def test_a_setting_is_read_as_people_expect(text: str, value: object) -> None:
    parsed = parse_setting(text)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    "text", ["[1", "{a: ]", "2026-02-30", "{[1]: 2}", "!!python/name:os.system", "a\0", "[" * 600], ids=range(7)
)
def test_a_setting_that_cannot_be_read_gets_a_sentence(text: str) -> None:
    with pytest.raises(ConfigError, match="the value of a --set is a number, true, false, null, a list or a word"):
        parse_setting(text)


# Run files


def test_paths_are_relative_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "data: logs/*.parquet\nvalid: ../v.csv\nout: /models/a\ncache_dir: c\nlabel: click\nlearning_rate: 1e-4\n"
    (tmp_path / "runs").mkdir()
    settings = run_file(tmp_path / "runs", text)
    assert settings == {
        "data": f"{tmp_path}/runs/logs/*.parquet",
        "valid": f"{tmp_path}/runs/../v.csv",
        "out": "/models/a",
        "cache_dir": f"{tmp_path}/runs/c",
        "label": "click",
        "learning_rate": 1e-4,
    }
    monkeypatch.chdir(tmp_path)
    assert read_run_file("runs/run.yaml") == settings


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("20140921", "20140921"),
        ("1.5e3", "1500.0"),
        ("2026-01-31", "2026-01-31"),
        ("2026-01-31 12:30:00", "2026-01-31 12:30:00"),
        ("2026-01-31T12:30:00Z", "2026-01-31 12:30:00+00:00"),
        ("'2026-01-31'", "2026-01-31"),
        ("null", None),
    ],
)
def test_a_moment_may_be_written_as_a_number_or_a_date(text: str, value: str | None, tmp_path: Path) -> None:
    settings = run_file(tmp_path, f"time: at\nvalid_after: {text}\n")
    assert RunConfig(**settings).valid_after == value


def test_anchors_and_merges_are_yaml_too(tmp_path: Path) -> None:
    text = "set: {<<: {reduction: 2.0, dropout: 0.1}, dropout: 0.2}\nepochs: &n 3\npatience: *n\n"
    assert run_file(tmp_path, text) == {"set": {"reduction": 2.0, "dropout": 0.2}, "epochs": 3, "patience": 3}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("epochs: 1\nseed: 2\nepochs: 3\n", "a setting is given once; 'epochs' stands twice (again in line 3)"),
        ("set:\n  a: 1\n  'a': 2\n", "'a' stands twice (again in line 3)"),
        ('{"epochs": 1, "epochs": 2}', "'epochs' stands twice"),
        ("epochs: [1\nseed: 2", "run.yaml' is not YAML (line 2): "),
        ("valid_after: 2026-02-30", "run.yaml' is not YAML: day is out of range for month"),
        ("{[1]: 2}", "run.yaml' is not YAML (line 1): found unhashable key"),
        ("a: \0", "run.yaml' is not YAML: unacceptable character"),
        ("", "a run file is a mapping of settings to values"),
        ("- epochs", "a run file is a mapping of settings to values"),
        ("5: a", "a run file is a mapping of settings to values"),
        ("label: !!python/object/apply:os.getcwd []", "is not YAML (line 1)"),
    ],
)
def test_a_run_file_that_cannot_be_read_gets_a_sentence(text: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        run_file(tmp_path, text)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_run_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no run file at 'nowhere\.yaml'"):
        read_run_file("nowhere.yaml")
    (tmp_path / "run.yaml").write_bytes(b"label: \xff")
    with pytest.raises(ConfigError, match=r"is a text in UTF-8; '.*run\.yaml' is not, from its byte 7 on: save it so"):
        read_run_file(tmp_path / "run.yaml")
    with pytest.raises(ConfigError, match=r"cannot be read: Is a directory$"):
        read_run_file(tmp_path)


def test_an_unknown_setting_in_a_file_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown option 'lable'; did you mean 'label'"):
        RunConfig(**run_file(tmp_path, "lable: click"))


def test_what_is_said_of_columns_and_of_encoding_are_settings_of_a_run() -> None:
    settings = {name: field.default for name, field in RunConfig.model_fields.items()}
    declared = dict(vars(Declared()))
    assert list(declared) == [name for name in settings if name in declared], "in the order of the flags, too"
    assert declared == {name: settings[name] for name in declared}
    plan = {part.name: part.default for part in fields(EncodingPlan)}
    # Raw numbers are asked for by a kind of model, not by whoever runs it.
    assert plan.keys() - settings.keys() == {"declared", "raw_numbers", "by_time"}
    # A plan by itself encodes as plainly as can be; the defaults of a run were measured to rank better.
    assert {name for name in plan.keys() & settings.keys() if plan[name] != settings[name]} == {
        "min_count",
        "numeric_encoding",
    }


@pytest.mark.parametrize(
    ("label", "said", "positive"),
    [
        ("y", "good", {"y": "good"}),
        ("y", ["y=a=b"], {"y": "a=b"}),
        ("y", 2, {"y": "2"}),
        (["a", "b"], ["a=1", "b=x=y"], {"a": "1", "b": "x=y"}),
        ("y", {"y": "good"}, {"y": "good"}),
    ],
)
def test_the_value_of_a_click_is_a_text_of_one_label_and_pairs_of_several(label: Any, said: Any, positive: Any) -> None:
    config = RunConfig(label=label, positive=said)
    assert config.positive == positive
    assert RunConfig(**config.settings()).positive == positive


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"label": "y", "positive": ["a", "b"]}, "positive is said once where there is one label; got 'a' and 'b'"),
        ({"label": ["a", "b"], "positive": "x"}, "a --positive is LABEL=VALUE; got 'x'"),
        ({"label": ["a", "b"], "positive": "c=1"}, "positive: unknown label 'c'"),
        ({"label": "y", "positive": True}, "'positive' setting must"),
        ({"missing": True}, "must be a valid string; got True"),
    ],
)
def test_what_is_no_value_of_a_click_is_refused(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        RunConfig(**settings)


def test_markers_are_texts_as_they_are() -> None:
    assert RunConfig(missing="a,b").missing == ("a,b",)
    assert RunConfig(missing=[-9, " x"]).missing == ("-9", " x")
