"""Adam on named parameters, by PyTorch's kernel."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.optim.adam import adam

__all__ = ["BETAS", "EPSILON", "Adam"]

BETAS, EPSILON = (0.9, 0.999), 1e-8
"""As PyTorch has them."""


class Adam:
    """Moves parameters against their gradients, and remembers two moments of each.

    NOTE[perf]: by the function behind `torch.optim.Adam`: to make one of the class imports PyTorch's compiler, which
    nothing here asks for, and which took 1.4 of the 2.3 s from `import torch` to the first step.

    >>> weight = torch.zeros(2, requires_grad=True)
    >>> adam = Adam({"w": weight}, learning_rate=0.1)
    >>> weight.grad = torch.tensor([3.0, -0.5])
    >>> adam.move(); [round(w, 4) for w in weight.tolist()]
    [-0.1, 0.1]

    Args:
        parameters: by name; those without a gradient stay.
        learning_rate: the step size; it may be set anew between moves.
    """

    def __init__(self, parameters: Mapping[str, Tensor], *, learning_rate: float) -> None:
        self.learning_rate = learning_rate
        self._parameters = dict(parameters)
        self._remembered: dict[str, dict[str, Tensor]] = {}

    def forget_gradients(self) -> None:
        """Before the next ones are made."""
        for parameter in self._parameters.values():
            parameter.grad = None

    @torch.no_grad()
    def move(self) -> None:
        """One step."""
        moved = {name: p for name, p in self._parameters.items() if p.grad is not None}
        for name, p in moved.items():
            if name not in self._remembered:
                step = torch.zeros((), dtype=torch.float32, device=p.device)
                moments = {"exp_avg": torch.zeros_like(p), "exp_avg_sq": torch.zeros_like(p)}
                self._remembered[name] = {"step": step, **moments}
        of_moved = [self._remembered[name] for name in moved]
        adam(
            list(moved.values()),
            [p.grad for p in moved.values() if p.grad is not None],
            [own["exp_avg"] for own in of_moved],
            [own["exp_avg_sq"] for own in of_moved],
            [],
            [own["step"] for own in of_moved],
            fused=True,
            amsgrad=False,
            beta1=BETAS[0],
            beta2=BETAS[1],
            lr=self.learning_rate,
            weight_decay=0.0,
            eps=EPSILON,
            maximize=False,
        )

    def state(self) -> dict[str, Tensor]:
        """All that is remembered, by parameter and quantity."""
        return {f"{name}/{key}": value for name, own in self._remembered.items() for key, value in own.items()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """The inverse of `state`; what is of no parameter here is passed over."""
        for path, value in state.items():
            name, _, key = path.rpartition("/")
            if name in self._parameters:
                # The step count lives on the parameter's device, where the fused kernel reads it.
                self._remembered.setdefault(name, {})[key] = value.to(self._parameters[name].device)
