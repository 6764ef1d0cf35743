"""What Adam does to a row in the steps that do not read it, in closed form.

Such a step has no gradient but the penalty's, `l2 w`, and yet it moves the row: by what is left of its momentum, and by
the penalty. Dense updates take these steps one by one; here all of them are taken at once, when the row is next read.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from masknet.train.adam import BETAS, EPSILON

__all__ = ["Rows", "coasted"]

_SOON = 10.0
"""Steps in which most of a row's momentum is spent."""


class Rows(NamedTuple):
    """Some rows of a table, and what Adam remembers of each: the means of its gradients and of their squares."""

    weight: Tensor
    mean: Tensor
    square: Tensor


def coasted(rows: Rows, *, since: Tensor, gap: Tensor, rate: float, l2: float) -> tuple[Rows, Tensor]:
    """Take the steps that did not read some rows.

    NOTE[perf]: with Adam's denominator `d` held, such a step is linear in the weight `w` and the move `p = rate m / d`:
    `p <- b1 p + k w`, `w <- w - p`, where `k = (1 - b1) l2 rate / d`; what `n` of them in a row do has a closed form.
    That is the approximation, with three smaller ones: `d` is that of the middle of the gap, but of its tenth step at
    the latest, when most of the momentum is spent; the mean is corrected for its bias as in that step, which matters in
    the first steps of a run; and in the square the penalty's gradients count as those of a row that fades evenly.

    >>> rows = Rows(torch.ones(1, 1), torch.full((1, 1), 0.1), torch.ones(1, 1))
    >>> steps = {"since": torch.tensor([9000]), "gap": torch.tensor([30])}
    >>> (weight, mean, square), over_the_gap = coasted(rows, **steps, rate=0.1, l2=0.0)
    >>> round(weight.item(), 3), round(mean.item(), 3), round(square.item(), 3), round(over_the_gap.item(), 3)
    (0.913, 0.004, 0.97, 0.936)

    Args:
        rows: `[n, width]` each.
        since: the number of the step after which they were last right, `[n]`.
        gap: how many steps were taken since, `[n]`; a row of 0 stays as it is, to the last bit.
        rate: Adam's step size in these steps.
        l2: the penalty's lambda.

    Returns:
        The rows as they are now, and the mean of their weights over these steps, `[n, width]`.
    """
    (w, m, v), (b1, b2) = rows, BETAS
    since, steps = since.double().unsqueeze(1), gap.double().unsqueeze(1)
    soon = (steps / 2).clamp(min=0.5, max=_SOON)
    # Powers of a row's steps are had in float64, for one number a row.
    n, size, kept, kept_soon = (
        power.to(w.dtype) for power in (steps, _power(b1, steps / 2), _power(b2, steps), _power(b2, soon))
    )
    biases = [(1 - _power(b1, since + later)).to(w.dtype) for later in (0 * soon, soon, steps)]
    unbiased = (1 - _power(b2, since + soon)).to(w.dtype)
    pull = l2 * w
    scale = rate / (((kept_soon * v + (1 - kept_soon) * pull.square()) / unbiased).sqrt() + EPSILON)
    p = scale * (pull + (m - biases[0] * pull) / biases[1])
    k = ((1 - b1) * l2 * scale).clamp(max=1 + b1)
    # The step's matrix has the eigenvalues `trace +- root`: real where the penalty pulls gently, else the row swings.
    trace, half = (1 + b1 - k) / 2, (1 - b1 - k) / 2
    discriminant = half.square() - b1 * k
    swings, root = discriminant < 0, discriminant.abs().sqrt().clamp(min=1e-4)
    gone = k / ((1 - b1 + k) / 2 + root)  # 1 less the larger one, without what a subtraction loses
    lost = torch.expm1(n * torch.log1p(-gone.clamp(max=0.5)))
    fast = (trace - root).clamp(min=1e-30)
    slow_power, fast_power = 1 + lost, torch.exp(n * fast.log())
    turn = n * torch.atan2(root, trace)
    # Half the sum of their n-th powers, and the difference of those over their own: they make the matrix's n-th power.
    even = torch.where(swings, size * turn.cos(), (slow_power + fast_power) / 2)
    odd = torch.where(swings, size * turn.sin(), (slow_power - fast_power) / 2) / root
    turned, turned_p = half * w - b1 * p, k * w - half * p
    end, end_p = even * w + odd * turned, even * p + odd * turned_p
    # The sum of the weights: by the sums of those powers; where the row swings, by what the steps add up to.
    all_slow = torch.where(gone > 1e-12, -lost / gone.clamp(min=1e-12), n) * (1 - gone)
    all_fast = fast * (1 - fast_power) / (1 - fast)
    gently = (all_slow + all_fast) / 2 * w + (all_slow - all_fast) / (2 * root) * turned
    swinging = ((1 - b1) * (w - end) + b1 * (end_p - p)) / k.clamp(min=1e-3) + end - w
    over = torch.where(swings, swinging, gently) / n.clamp(min=1)
    faded = (n * (k / (1 - b1)).clamp(max=-math.log(b1) / 2)).clamp(min=1e-12)
    square = kept * v + (1 - kept) * pull.square() * -torch.expm1(-2 * faded) / (2 * faded)
    missed = steps > 0
    now = Rows(
        *(
            torch.where(missed, new, old)
            for new, old in zip((end, biases[2] * end_p / scale, square), rows, strict=True)
        )
    )
    return now, torch.where(missed, over, w)


def _power(base: float, exponents: Tensor) -> Tensor:
    return torch.exp(math.log(base) * exponents)
