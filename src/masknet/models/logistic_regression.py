"""Logistic regression: the baseline that any network must beat."""

from __future__ import annotations

from masknet.models.recipe import Recipe
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

    # It is convex, and starts from zero: members would be one, and its weights need no average.
    recipe = Recipe(
        learning_rate=1e-2,
        epochs=50,
        evaluations=1,
        patience=2,
        schedule="plateau",
        embedding_l2=0.0,
        average_weights=0.0,
    )
