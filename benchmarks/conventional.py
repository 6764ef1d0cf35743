"""MaskNet and FM as they are conventionally written, to hold ours against: the same equations, and nothing clever.

Eager PyTorch in fp32: one table of all ids with a dense gradient, a layer norm a field in a loop, a small product a
block for the aggregation and for the projection of its mask, and Adam over all weights as PyTorch has it. The rows lie
in memory as tensors, are shuffled by their numbers each epoch, and a batch is gathered by them. A test copies the
weights of ours into these networks and compares the logits. Nothing of masknet is imported.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

EPSILON = 1e-6


@dataclass(frozen=True)
class Columns:
    """All rows in memory: a slot a field.

    Args:
        ids: `[rows, fields]`; 0 is padding.
        values: `[rows, fields]`, what an id's vector is multiplied by: 1 for a category.
        labels: `[rows]`, 0 or 1.
    """

    ids: Tensor
    values: Tensor
    labels: Tensor

    def __getitem__(self, rows: Tensor | slice) -> Columns:
        return Columns(self.ids[rows], self.values[rows], self.labels[rows])

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: str) -> Columns:
        return Columns(self.ids.to(device), self.values.to(device), self.labels.to(device))


class FieldNorms(nn.Module):
    """A layer norm a field, one after the other."""

    def __init__(self, num_fields: int, dim: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.LayerNorm(dim, eps=EPSILON) for _ in range(num_fields)])

    def forward(self, vectors: Tensor) -> Tensor:
        normed = [norm(vectors[:, field]) for field, norm in enumerate(self.norms)]
        return torch.cat(normed, dim=1)


class MaskBlock(nn.Module):
    """ReLU(LN(W (mask * hidden))), its mask made by two layers from the embedding."""

    def __init__(self, d_embedding: int, d_hidden: int, d_out: int, reduction: float) -> None:
        super().__init__()
        d_aggregation = round(reduction * d_hidden)
        self.mask = nn.Sequential(nn.Linear(d_embedding, d_aggregation), nn.ReLU(), nn.Linear(d_aggregation, d_hidden))
        self.hidden = nn.Sequential(nn.Linear(d_hidden, d_out, bias=False), nn.LayerNorm(d_out, eps=EPSILON), nn.ReLU())

    def forward(self, embedding: Tensor, hidden: Tensor) -> Tensor:
        out: Tensor = self.hidden(self.mask(embedding) * hidden)
        return out


class Embedding(nn.Module):
    """The vectors of a row's fields, times their values."""

    def __init__(self, num_ids: int, dim: int) -> None:
        super().__init__()
        self.table = nn.Embedding(num_ids, dim, padding_idx=0)
        nn.init.normal_(self.table.weight, std=0.01)

    def forward(self, ids: Tensor, values: Tensor) -> Tensor:
        vectors: Tensor = self.table(ids) * values.unsqueeze(2)
        return vectors


class ParallelMaskNet(nn.Module):
    """Blocks side by side on the normalised embedding, and layers above them."""

    def __init__(
        self, num_ids: int, num_fields: int, *, dim: int, blocks: Sequence[int], top: Sequence[int], reduction: float
    ) -> None:
        super().__init__()
        width = num_fields * dim
        self.embedding = Embedding(num_ids, dim)
        self.norms = FieldNorms(num_fields, dim)
        self.blocks = nn.ModuleList([MaskBlock(width, width, d_out, reduction) for d_out in blocks])
        layers: list[nn.Module] = []
        d_in = sum(blocks)
        for d_out in top:
            layers += [nn.Linear(d_in, d_out), nn.ReLU()]
            d_in = d_out
        self.top = nn.Sequential(*layers)
        self.head = nn.Linear(d_in, 1)

    def forward(self, ids: Tensor, values: Tensor) -> Tensor:
        vectors = self.embedding(ids, values)
        flat, normed = vectors.flatten(1), self.norms(vectors)
        merged = torch.cat([block(flat, normed) for block in self.blocks], dim=1)
        logits: Tensor = self.head(self.top(merged)).squeeze(1)
        return logits


class SerialMaskNet(nn.Module):
    """Blocks in a row, each masked by the embedding."""

    def __init__(self, num_ids: int, num_fields: int, *, dim: int, blocks: Sequence[int], reduction: float) -> None:
        super().__init__()
        width = num_fields * dim
        self.embedding = Embedding(num_ids, dim)
        self.norms = FieldNorms(num_fields, dim)
        widths = [width, *blocks]
        self.blocks = nn.ModuleList(
            [MaskBlock(width, d_in, d_out, reduction) for d_in, d_out in zip(widths, blocks, strict=False)]
        )
        self.head = nn.Linear(widths[-1], 1)

    def forward(self, ids: Tensor, values: Tensor) -> Tensor:
        vectors = self.embedding(ids, values)
        flat, hidden = vectors.flatten(1), self.norms(vectors)
        for block in self.blocks:
            hidden = block(flat, hidden)
        logits: Tensor = self.head(hidden).squeeze(1)
        return logits


class FactorizationMachine(nn.Module):
    """A weight an id, and half the square of the sum of the vectors less the sum of their squares."""

    def __init__(self, num_ids: int, *, dim: int) -> None:
        super().__init__()
        self.weights = Embedding(num_ids, 1)
        self.factors = Embedding(num_ids, dim)
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, ids: Tensor, values: Tensor) -> Tensor:
        vectors = self.factors(ids, values)
        products = 0.5 * (vectors.sum(1) ** 2 - (vectors**2).sum(1)).sum(1)
        logits: Tensor = self.bias + self.weights(ids, values).sum((1, 2)) + products
        return logits


def shuffled_batches(columns: Columns, batch_size: int, seed: int) -> Iterator[Columns]:
    """Batches without end, each epoch in another order."""
    draw = torch.Generator().manual_seed(seed)
    while True:
        order = torch.randperm(len(columns), generator=draw)
        for start in range(0, len(order) - batch_size + 1, batch_size):
            yield columns[order[start : start + batch_size]]


class Training:
    """Adam on the cross entropy.

    >>> columns = Columns(torch.ones(8, 2, dtype=torch.long), torch.ones(8, 2), torch.zeros(8))
    >>> training = Training(FactorizationMachine(9, dim=4), learning_rate=1e-3)
    >>> training.step(columns) > 0.6
    True
    """

    def __init__(self, network: nn.Module, *, learning_rate: float) -> None:
        self.network = network.train()
        self.optimizer = torch.optim.Adam(network.parameters(), lr=learning_rate)
        self.loss = nn.BCEWithLogitsLoss()

    def step(self, batch: Columns) -> float:
        """Learn from a batch, and say what the loss was."""
        self.optimizer.zero_grad()
        loss = self.loss(self.network(batch.ids, batch.values), batch.labels)
        loss.backward()
        self.optimizer.step()
        return float(loss.item())


def scores(network: nn.Module, columns: Columns, batch_size: int, device: str) -> Tensor:
    """The logits of all rows, in their order."""
    network.eval()
    with torch.no_grad():
        parts = []
        for start in range(0, len(columns), batch_size):
            batch = columns[slice(start, start + batch_size)].to(device)
            parts.append(network(batch.ids, batch.values).cpu())
    return torch.cat(parts)
