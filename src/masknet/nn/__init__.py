"""The layers that networks are built of; each is a plain `torch.nn.Module`."""

from __future__ import annotations

from masknet.nn.embedding import FieldEmbedding
from masknet.nn.ensemble import MeanProbability
from masknet.nn.head import Head
from masknet.nn.id_table import IdTable, id_tables
from masknet.nn.linear_term import LinearTerm
from masknet.nn.mask import InstanceGuidedMask, MaskBlock, MasklessBlock, MaskOnlyBlock
from masknet.nn.mlp import MLP
from masknet.nn.norm import BatchNorm, FieldLayerNorm
from masknet.nn.output_bias import output_biases
from masknet.nn.pairs import HashedPairs, pooled_products
from masknet.nn.tower import Tower, Towers

__all__ = [
    "MLP",
    "BatchNorm",
    "FieldEmbedding",
    "FieldLayerNorm",
    "HashedPairs",
    "Head",
    "IdTable",
    "InstanceGuidedMask",
    "LinearTerm",
    "MaskBlock",
    "MaskOnlyBlock",
    "MasklessBlock",
    "MeanProbability",
    "Tower",
    "Towers",
    "id_tables",
    "output_biases",
    "pooled_products",
]
