"""adPredictor: Bayesian probit regression that learns row by row."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from masknet.models.recipe import Recipe
from masknet.nn.embedding import require_rows
from masknet.nn.id_table import IdTable
from masknet.nn.rules import require_positive, require_share
from masknet.ranges import Floats, OneOf
from masknet.space import FeatureSpace

_TAIL = (
    -35.0
)  # below it the normal distribution's share nears underflow, and the terms of its series float64's last bit


class AdPredictor(nn.Module):
    """A Gaussian belief in every weight of a probit regression, `P(click) = Phi(m / S)`, moved by each row once.

    Graepel et al., "Web-scale Bayesian click-through rate prediction for sponsored search advertising in Microsoft's
    Bing search engine" (ICML 2010), eq. 4 to 10. A row has the score `m = sum_i mu_i x_i` and the variance
    `S^2 = 1 + sum_i s_i^2 x_i^2`; with `y` 1 for a click and -1 for none, and `t = y m / S`, the belief moves to
    `mu_i + y x_i s_i^2 / S v(t)` and `s_i^2 (1 - x_i^2 s_i^2 / S^2 w(t))`, where `v(t) = N(t) / Phi(t)` and
    `w(t) = v(t) (v(t) + t)`.

    It is moved by no gradient: a run gives it the rows in their order, one pass, and has no other knob of training. Its
    logits are the log-odds of its own probabilities. A weight an id, a dense column, and a bias.

    NOTE[paper]: the noise `beta` is 1, since only its ratio to the weights means something; a feature has its value
    `x_i`, which in the paper is always 1; and weights that a row does not have forget nothing.

    >>> from masknet.space import FieldSpace
    >>> network = AdPredictor(FeatureSpace(num_ids=9, fields=(FieldSpace("user"), FieldSpace("ad"))))
    >>> rows = torch.tensor([[1, 5], [2, 5]]), torch.ones(2, 2)
    >>> round(network.learn(*rows, None, torch.tensor([1.0, 1.0])).item(), 4)
    0.5534
    >>> [round(p, 2) for p in network(*rows).sigmoid().tolist()]
    [0.82, 0.81]
    >>> score, variance = network.belief(*rows)
    """

    paper = "Graepel et al., ICML 2010"

    recipe = Recipe(
        network={"prior_variance": 0.1},
        epochs=1,
        evaluations=1,
        search={"prior_variance": Floats(1e-3, 10.0, log=True), "forgetting": OneOf((0.0, 1e-5, 1e-4, 1e-3, 1e-2))},
    )

    def __init__(self, space: FeatureSpace, *, prior_variance: float = 1.0, forgetting: float = 0.0) -> None:
        """Start with the prior: every weight is N(0, prior_variance).

        Args:
            space: the ids, the slots of each field, and the columns of each dense one; of one task.
            prior_variance: of each weight, above 0.
            forgetting: the share of the belief in a weight that goes back to the prior before each row that has it, in
                [0, 1); 0 forgets nothing.

        Raises:
            ValueError: where a number is out of its range, or there are several tasks.
        """
        super().__init__()
        require_positive("prior_variance", prior_variance)
        require_share("forgetting", forgetting)
        if space.num_tasks > 1:
            raise ValueError(f"it learns one label; got {space.num_tasks}: train it once for each")
        self._num_slots, self._dense_width = space.num_slots, space.dense_width
        self._prior, self._forgetting = prior_variance, forgetting
        self.means, self.variances = IdTable(space.num_ids, 1, std=0.0), IdTable(space.num_ids, 1, std=0.0)
        # Of the dense columns, and of the bias behind them.
        self.other_means = nn.Parameter(torch.zeros(space.dense_width + 1))
        self.other_variances = nn.Parameter(torch.empty(space.dense_width + 1))
        nn.init.constant_(self.other_variances, prior_variance)
        with torch.no_grad():
            self.variances.weight[1:] = prior_variance
        self.requires_grad_(False)

    def forward(
        self,
        ids: Int[Tensor, "batch slots"],
        values: Float[Tensor, "batch slots"],
        dense: Float[Tensor, "batch dense"] | None = None,
    ) -> Float[Tensor, " batch"]:
        """Return the log-odds of `Phi(m / S)`.

        Raises:
            ValueError: where the rows are not of the space.
        """
        score, variance = self.belief(ids, values, dense)
        scaled = score / (1 + variance).sqrt()
        logits: Tensor = torch.special.log_ndtr(scaled) - torch.special.log_ndtr(-scaled)
        return logits

    def belief(
        self,
        ids: Int[Tensor, "batch slots"],
        values: Float[Tensor, "batch slots"],
        dense: Float[Tensor, "batch dense"] | None = None,
    ) -> tuple[Float[Tensor, " batch"], Float[Tensor, " batch"]]:
        """Return what is believed of each row's score: its mean `m`, and its variance `S^2 - 1`, the uncertainty.

        Raises:
            ValueError: where the rows are not of the space.
        """
        require_rows(ids, values, dense, num_slots=self._num_slots, dense_width=self._dense_width)
        score = (self.means(ids).squeeze(2) * values).sum(1) + self.other_means[-1]
        # The same id twice in a row is one feature, whose values add up before they are squared.
        ids, order = ids.sort(dim=1)
        feature = (ids != functional.pad(ids, (1, 0), value=-1)[:, :-1]).long().cumsum(1) - 1
        own = torch.zeros_like(values).scatter(1, feature, self.variances(ids).squeeze(2))
        together = torch.zeros_like(values).scatter_add(1, feature, values.gather(1, order))
        variance = (own * together.square()).sum(1) + self.other_variances[-1]
        if dense is not None:
            score = score + dense @ self.other_means[:-1]
            variance = variance + dense.square() @ self.other_variances[:-1]
        return score, variance

    @torch.no_grad()
    def learn(
        self,
        ids: Int[Tensor, "batch slots"],
        values: Float[Tensor, "batch slots"],
        dense: Float[Tensor, "batch dense"] | None,
        labels: Float[Tensor, " batch"],
    ) -> Float[Tensor, ""]:
        """Move the belief by one row after the other, and return the mean log loss of the rows as they were met.

        NOTE[perf]: a row moves a few weights: those of a batch are taken out of the tables once, in float64.
        """
        known, local = np.unique(ids.numpy(), return_inverse=True)
        local = local.reshape(ids.shape)
        others = np.arange(len(known), len(known) + len(self.other_means))
        x = np.ones((len(ids), len(others)))
        if dense is not None:
            x[:, :-1] = dense.numpy()
        x = np.hstack([values.numpy().astype(np.float64), x])
        at = np.hstack([local, np.broadcast_to(others, (len(ids), len(others)))])
        means, variances = (
            np.concatenate([table.weight.numpy()[known, 0], other.numpy()]).astype(np.float64)
            for table, other in ((self.means, self.other_means), (self.variances, self.other_variances))
        )
        ordered = np.sort(ids.numpy(), axis=1)
        twice = ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] != 0)).any(axis=1)
        loss = 0.0
        for row, label in enumerate(labels.tolist()):
            own, own_x = at[row], x[row]
            if twice[row]:
                own, of = np.unique(own, return_inverse=True)
                own_x = np.bincount(of, weights=own_x)
            loss += self._learn_row(means, variances, own, own_x, 1.0 if label == 1 else -1.0)
        count = len(known)
        self.means.weight[known, 0] = torch.from_numpy(means[:count]).float()
        self.variances.weight[known, 0] = torch.from_numpy(variances[:count]).float()
        self.other_means.copy_(torch.from_numpy(means[count:]))
        self.other_variances.copy_(torch.from_numpy(variances[count:]))
        return torch.tensor(loss / len(ids), dtype=torch.float64)

    def _learn_row(
        self,
        means: NDArray[np.float64],
        variances: NDArray[np.float64],
        at: NDArray[np.int64],
        x: NDArray[np.float64],
        y: float,
    ) -> float:
        """Move both arrays at the features of one row, and return its log loss."""
        own, mean = variances[at], means[at]
        if self._forgetting:
            kept = (1 - self._forgetting) * self._prior
            share = self._prior / (kept + self._forgetting * own)  # of a padding's variance, 0, what it was
            own, mean = own * share, mean * (kept / (kept + self._forgetting * own))
        weighed = own * x
        total = 1 + float(weighed @ x)
        deviation = math.sqrt(total)
        t = y * float(mean @ x) / deviation
        v, w, loss = _moves(t)
        means[at] = mean + (y * v / deviation) * weighed
        variances[at] = own - weighed * weighed * (w / total)
        return loss


def _moves(t: float) -> tuple[float, float, float]:
    """`v(t) = N(t) / Phi(t)`, `w(t) = v(t) (v(t) + t)`, and the loss `-log Phi(t)`, for any `t`."""
    log_density = -t * t / 2 - math.log(2 * math.pi) / 2
    if t < _TAIL:
        u = 1 / (t * t)
        series = 1 - u * (1 - 3 * u * (1 - 5 * u * (1 - 7 * u * (1 - 9 * u))))  # Phi(t) = N(t) / -t times this
        return -t / series, 1 - u * (1 - 6 * u * (1 - 50 / 6 * u)), math.log(-t / series) - log_density
    share = math.erfc(-t / math.sqrt(2)) / 2
    v = math.exp(log_density) / share
    return v, v * (v + t), -math.log(share)
