"""Where the time of a training step goes: each per cent by what it is spent on, as PyTorch's profiler sees it."""

from __future__ import annotations

import re
import time
from typing import Any

import torch
from torch.autograd import DeviceType, profiler
from torch.profiler import ProfilerActivity, profile, record_function

from masknet.train import members
from masknet.train.optim import Optimizer, WeightAverage
from stages import today
from stages.child import Measure, threads
from stages.training import settle

_SCOPES = ("batches", "optimizer", "average")
"""What is marked while it lasts; all in it counts as it, but for the gradients, which the optimizer asks for."""

_GROUPS = {
    "matrix products": r"aten::(addmm|mm|bmm|baddbmm|matmul|linear|addmv|mv|dot)|mkldnn|onednn|_linear_pointwise",
    "embedding, forward": r"aten::(embedding|index_select|index|gather)$",
    "embedding, gradient": r"embedding.*backward|aten::(index_add|index_put|_index_put_impl_|scatter_add|unique|sort)",
    "norms": r"layer_norm|batch_norm|aten::(var|std|mean|rsqrt)",
    "copies": r"aten::(copy_|_to_copy|to|cat|stack|clone|contiguous|fill_|zero_|zeros|empty|narrow_copy)",
}
"""By the names of PyTorch's operations; what fits none of them is pointwise, or a sum."""


def step(*, data: str, cache: str, settings: dict[str, Any], count: int, warmup: int, device: str) -> Measure:
    """The share of each group in `count` steps."""
    torch.set_num_threads(threads())
    engine = today.Masknet(today.Path(cache))
    engine.begin()
    prepared = engine.encoded(data, settings)
    config = engine.decided(settings, len(prepared.train), device)
    _mark(Optimizer, "step", "optimizer")
    _mark(WeightAverage, "update", "average")
    network = engine.network(prepared, config, device)
    learn = members.network_step(network, config, sample_weights=None, click_rates=prepared.train.click_rates)
    batches = engine.batches(prepared.train, config)

    def take(steps: range) -> None:
        for number in steps:
            with record_function("batches"):
                batch = next(batches)
            learn(batch, number)
        settle(device)

    take(range(warmup))

    def measure(seen: dict[str, Any]) -> dict[str, Any]:
        started = time.perf_counter()
        take(range(warmup, warmup + count))
        plain = time.perf_counter() - started
        activities = [ProfilerActivity.CPU] + ([] if device == "cpu" else [ProfilerActivity.CUDA])
        with profile(activities=activities) as watched:
            started = time.perf_counter()
            take(range(warmup + count, warmup + 2 * count))
            seconds = time.perf_counter() - started
        spent: dict[str, float] = {}
        for event in watched.events():
            if event.device_type != DeviceType.CPU:  # the operation that asked for it has its time
                continue
            own = event.self_cpu_time_total if device == "cpu" else event.self_device_time_total
            group = _group_of(event)
            spent[group] = spent.get(group, 0.0) + own / 1e6
        between = max(0.0, seconds - sum(spent.values()))
        spent["between operations"] = spent.get("between operations", 0.0) + between
        return {
            "ms": 1000 * plain / count,
            "ms_watched": 1000 * seconds / count,
            "shares": {group: own / sum(spent.values()) for group, own in spent.items()},
        }

    return measure


def _mark(owner: type, method: str, scope: str) -> None:
    """Let the profiler know when a method runs."""
    plain = getattr(owner, method)

    def marked(self: Any, *given: Any, **named: Any) -> Any:
        with record_function(scope):
            return plain(self, *given, **named)

    setattr(owner, method, marked)


def _group_of(event: profiler.FunctionEvent) -> str:
    inside = event
    backward = False
    while inside is not None:
        backward = backward or inside.name.startswith("autograd::engine")
        if inside.name in _SCOPES and not (inside.name == "optimizer" and backward):
            if inside is event:  # the Python around the operations in it
                return "between operations" if inside.name == "optimizer" else inside.name
            return inside.name
        inside = inside.cpu_parent
    if event.name.startswith(("autograd::engine", "Optimizer")) or "Backward" in event.name:
        return "between operations"
    return next((group for group, name in _GROUPS.items() if re.search(name, event.name)), "pointwise")
