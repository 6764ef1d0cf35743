"""A network of the user's own: how it is named, found, and refused where it is none."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from masknet.errors import ConfigError
from masknet.models import MODELS, build_network, is_code, model_name, network_class, resolve_settings
from masknet.space import FeatureSpace, FieldSpace

MODULE = """
from torch import nn

from masknet.models import LogisticRegression

NUMBER = 7


class Good(LogisticRegression):
    def __init__(self, space, *, width: int = 3, widths=(4, 5)):
        super().__init__(space)
        if width < 1:
            raise ValueError(f"'width' must be an int of at least 1; got {width}")
        self.given = width, widths


class NoDefault(LogisticRegression):
    def __init__(self, space, *, width):
        super().__init__(space)


class Nothing(nn.Module):
    pass


class ByPlace(nn.Module):
    def __init__(self, space, width=3): ...


class Anything(nn.Module):
    def __init__(self, space, **kwargs): ...


class KeywordSpace(nn.Module):
    def __init__(self, *, space=None): ...


class NoJson(nn.Module):
    def __init__(self, space, *, activation=nn.ReLU): ...
"""


@pytest.fixture(autouse=True)
def _modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "own_nets.py").write_text(MODULE)
    (tmp_path / "own_broken.py").write_text("import no_such_package_here\n")
    (tmp_path / "own_typo.py").write_text("def f(:\n")
    (tmp_path / "own_empty.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    for name in [name for name in sys.modules if name.startswith("own_")]:
        del sys.modules[name]


def test_a_class_is_found_by_module_and_name() -> None:
    network = network_class("own_nets:Good")
    assert network.__name__ == "Good"
    assert model_name(network) == "own_nets:Good"
    assert (is_code("own_nets:Good"), is_code("lr")) == (True, False)
    assert resolve_settings("own_nets:Good", {"width": 2}) == {"width": 2, "widths": [4, 5]}
    space = FeatureSpace(num_ids=5, fields=(FieldSpace("user"),))
    built = build_network("own_nets:Good", space, {"width": 2, "widths": [1]})
    assert built(torch.tensor([[1]]), torch.ones(1, 1)).tolist() == [0.0]
    with pytest.raises(ConfigError, match="own_nets:Good: 'width' must be an int of at least 1; got 0"):
        build_network("own_nets:Good", space, {"width": 0})


@pytest.mark.parametrize("name", MODELS)
def test_our_own_classes_keep_their_names(name: str) -> None:
    assert network_class(name) is MODELS[name]
    assert model_name(MODELS[name]) == name


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("own_nets:", "is named package.module:Class; got 'own_nets:'"),
        ("own_nets.py:Good", "got 'own_nets.py:Good': pass own_nets:Good"),
        ("./nets/own.py:Good", "pass nets.own:Good"),
        ("own_nets:Good:er", "is named package.module:Class"),
        ("own nets:Good", "is named package.module:Class"),
        ("../own_nets:Good", "is named package.module:Class"),
        (".own_nets:Good", "is named package.module:Class"),
        ("own_netz:Good", "there is no module 'own_netz' for own_netz:Good"),
        ("own_nets.deep:Good", r"there is no module 'own_nets.deep'|'own_nets.deep' raised"),
        ("own_broken:Good", "'own_broken' raised ModuleNotFoundError: No module named 'no_such_package_here'"),
        ("own_typo:Good", "'own_typo' raised SyntaxError"),
        ("own_nets:Goood", "did you mean 'Good'"),
        ("own_empty:Good", "holds no network"),
        ("__main__:OfAScript", "__main__:OfAScript was defined in a script or a notebook, .*: put it in a module"),
        ("own_nets:NUMBER", "is a subclass of torch.nn.Module; own_nets:NUMBER is 7"),
        ("own_nets:Nothing", "takes nothing by position"),
        ("own_nets:KeywordSpace", "takes nothing by position"),
        ("own_nets:ByPlace", "takes 'width' by position"),
        ("own_nets:Anything", r"takes '\*\*kwargs'"),
        ("own_nets:NoJson", "'activation' of own_nets:NoJson is <class"),
    ],
)
def test_what_is_no_network_is_refused(model: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        network_class(model)
    assert "\n" not in str(raised.value)


def test_a_keyword_without_a_default_has_to_be_set() -> None:
    with pytest.raises(ConfigError, match="'width' of own_nets:NoDefault has no default"):
        resolve_settings("own_nets:NoDefault", {})
    assert resolve_settings("own_nets:NoDefault", {"width": 3}) == {"width": 3}


def test_a_class_that_no_name_finds_is_refused() -> None:
    class Inner(nn.Module): ...

    with pytest.raises(ConfigError, match="define it at the top of a module"):
        model_name(Inner)
