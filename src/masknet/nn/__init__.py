"""The layers that networks are built of; each is a plain `torch.nn.Module`."""

from __future__ import annotations

from masknet.nn.embedding import FieldEmbedding
from masknet.nn.ensemble import MeanProbability
from masknet.nn.mask import InstanceGuidedMask, MaskBlock, MasklessBlock, MaskOnlyBlock
from masknet.nn.mlp import MLP
from masknet.nn.norm import FieldLayerNorm

__all__ = [
    "MLP",
    "FieldEmbedding",
    "FieldLayerNorm",
    "InstanceGuidedMask",
    "MaskBlock",
    "MaskOnlyBlock",
    "MasklessBlock",
    "MeanProbability",
]
