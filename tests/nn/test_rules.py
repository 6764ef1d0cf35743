"""What passes the rules: their refusals are examples in the module, and tests of the layers."""

from __future__ import annotations

from masknet.nn.rules import require_count, require_positive, require_share, require_switch, require_widths


def test_what_json_and_yaml_hold_passes() -> None:
    require_count("x", 1)
    require_positive("x", 2)
    require_positive("x", 0.1)
    require_share("x", 0)
    require_share("x", 0.99)
    require_switch("x", False)
    require_widths("x", [400, 1])
    require_widths("x", (400, None), or_none=True)
