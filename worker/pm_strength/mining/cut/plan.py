"""Which pieces the events are mined in.

A group is one piece. One with too many rows is cut: for each of its dimensions, those with most values first,
a piece for each value, which has the rows with that value and the dimensions that follow; and one for the
slice of all rows. Each slice is in the piece of its first dimension and value, so it is found once and has
all of its rows there. A piece that is still too large is cut again by the dimensions that follow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ...json_values import Scalar
from ...settings import LearningSettings
from .rows import GroupKey

# A value as `scope_codes.value_key` gives it.
Value = tuple[str, Scalar]
Counts = dict[str, dict[Value, int]]


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows of a group with the values `fixed`, mined over all `dimensions` (None: over all there are).

    A group that is not cut is one `whole` piece. `max_dims` says how many more dimensions a slice may have.
    """

    number: int
    group: GroupKey
    fixed: tuple[tuple[str, Scalar], ...]
    dimensions: tuple[str, ...] | None
    max_dims: int | None
    rows: int

    @property
    def whole(self) -> bool:
        """Whether the piece is its group, which was not cut."""
        return self.dimensions is None

    def __str__(self) -> str:
        group = f"group {self.group[0]}, {self.group[1]}"
        values = " ".join(f"{name}={value}" for name, value in self.fixed)
        return f"{group} ({values})" if values else group


@dataclass(slots=True)
class Node:
    """Where rows go: to a piece, and, where they were cut, by their values to others.

    `piece` is None where it is not known yet how they are cut. `below` has the node of each value of each
    dimension, in their order; a value without one has too few rows for a lesson.
    """

    group: GroupKey
    rows: int
    fixed: tuple[tuple[str, Scalar], ...] = ()
    dimensions: tuple[str, ...] | None = None
    piece: int | None = None
    below: dict[str, dict[Value, Node]] = field(default_factory=dict)


class Plan:
    """The pieces, and the node that the rows of each group begin at.

    While `open_nodes` is not empty their values are to be counted: `cut` takes the counts.
    """

    def __init__(self, rows: Mapping[GroupKey, int], settings: LearningSettings, limit: int) -> None:
        self.pieces: list[Piece] = []
        self.roots: dict[GroupKey, Node] = {}
        self.open_nodes: list[Node] = []
        self.limit = limit
        self._least = settings.least_trades
        self._max_dims = settings.max_dims
        for group in sorted(rows):
            node = self.roots[group] = Node(group, rows[group])
            if rows[group] < self._least:
                continue
            if rows[group] > limit and self._max_dims != 0:
                self.open_nodes.append(node)
            else:
                self._add(node, None)

    @property
    def cut_groups(self) -> list[GroupKey]:
        """The groups that are more than one piece."""
        return [group for group, node in self.roots.items() if node.below]

    def cut(self, counts: Sequence[Counts]) -> None:
        """Cut the open nodes, by how many rows of each have each value of each dimension that is left."""
        nodes, self.open_nodes = self.open_nodes, []
        for node, found in zip(nodes, counts, strict=True):
            if node.dimensions is None:
                node.dimensions = tuple(sorted(found, key=lambda name: (-len(found[name]), name)))
                if not found:
                    node.dimensions = None
                    self._add(node, None)
                    continue
            self._add(node, ())
            for at, name in enumerate(node.dimensions):
                node.below[name] = {}
                for value, rows in sorted(found.get(name, {}).items()):
                    if rows >= self._least:
                        fixed = (*node.fixed, (name, value[1]))
                        below = Node(node.group, rows, fixed, node.dimensions[at + 1 :])
                        node.below[name][value] = below
                        self._place(below)

    def _place(self, node: Node) -> None:
        left = self._left(node)
        if not node.dimensions or left == 0:
            self._add(node, ())
        elif node.rows > self.limit:
            self.open_nodes.append(node)
        else:
            self._add(node, node.dimensions)

    def _add(self, node: Node, dimensions: tuple[str, ...] | None) -> None:
        node.piece = len(self.pieces)
        left = self._left(node)
        self.pieces.append(Piece(node.piece, node.group, node.fixed, dimensions, left, node.rows))

    def _left(self, node: Node) -> int | None:
        return None if self._max_dims is None else self._max_dims - len(node.fixed)
