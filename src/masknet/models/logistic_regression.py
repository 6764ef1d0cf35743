"""Logistic regression: the baseline that any network must beat."""

from __future__ import annotations

from masknet.models.recipe import CONVEX
from masknet.nn.linear_term import LinearTerm


class LogisticRegression(LinearTerm):
    """The linear term alone, which starts at even odds: `w_0 + sum_i w_i x_i`, eq. 17 without the sigmoid.

    >>> import torch
    >>> from masknet.space import FeatureSpace, FieldSpace
    >>> net = LogisticRegression(FeatureSpace(num_ids=9, fields=(FieldSpace("user"), FieldSpace("item"))))
    >>> net(torch.tensor([[1, 5], [2, 6]]), torch.ones(2, 2)).tolist()
    [0.0, 0.0]
    """

    paper = "Richardson et al., WWW 2007"

    recipe = CONVEX
