"""A network of the user's own is asked, before it trains, what `masknet.testing` asks of every network."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any

from torch import nn

from masknet.errors import ConfigError
from masknet.models import build_network, network_class
from masknet.testing import CHECKS, Build, check_tasks


def require_contract(model: str, settings: dict[str, Any], *, num_tasks: int = 1) -> None:
    """Refuse a network that breaks a rule of `masknet.testing.CHECKS` with these settings.

    For several labels it keeps `masknet.testing.check_tasks` too. A class that was found right with the same settings
    is not checked again by the same process.

    Raises:
        ConfigError: with the check, and the sentence of the rule.
    """
    checks = CHECKS if num_tasks == 1 else (*CHECKS, check_tasks)
    _require(network_class(model), model, json.dumps(settings), checks)  # type: ignore[arg-type]  # classes have a hash


@functools.lru_cache(maxsize=256)
def _require(network: type[nn.Module], model: str, settings: str, checks: tuple[Callable[[Build], None], ...]) -> None:
    rule = f"a network keeps the contract of masknet.testing; {model}"
    for check in checks:
        try:
            check(lambda space: build_network(model, space, json.loads(settings)))
        except ConfigError:  # a setting out of range
            raise
        except AssertionError as error:
            raise ConfigError(f"{rule} breaks {check.__name__}: {error}") from None
        except Exception as error:
            why = " ".join(str(error).split())
            raise ConfigError(f"{rule} raised {type(error).__name__} in {check.__name__}: {why}") from error
