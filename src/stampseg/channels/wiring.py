"""Book-keeping of a trace: channel atoms, what ties them, where they lie.

An atom is one channel of one layer's output. Operations that need two atoms to go together
(an addition, a shared weight) unite them; at the end the united atoms are the channels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from .graph import FREE, Binding, ChannelGraph, Group, LayerCall, Probe, Role, Sized

Layout = np.ndarray  # integers: the atom at every position of dimension 1 of a tensor


@dataclass
class Block:
    """Atoms that one source created together."""

    name: str
    start: int
    stop: int
    layer: bool  # a convolution or linear layer, not an input or an unknown operation
    transposed: bool = False


@dataclass
class Wiring:
    """Atoms, their unions, and every place that holds them."""

    parents: list[int] = field(default_factory=list)
    reasons: dict[int, str] = field(default_factory=dict)  # atom -> why it is frozen
    blocks: list[Block] = field(default_factory=list)
    places: dict[tuple[str, int], tuple[np.ndarray, Role]] = field(default_factory=dict)
    sizes: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)
    poisoned: dict[str, str] = field(default_factory=dict)  # tensor -> operation not understood
    touched: set[str] = field(default_factory=set)  # tensors bound since this was cleared last
    output: np.ndarray | None = None  # atoms of the network's (first) output; None: not followed so far

    def new_block(self, name: str, count: int, *, layer: bool, transposed: bool = False) -> np.ndarray:
        """Create `count` atoms."""
        start = len(self.parents)
        self.parents.extend(range(start, start + count))
        self.blocks.append(Block(name, start, start + count, layer, transposed))
        return np.arange(start, start + count)

    def find(self, atom: int) -> int:
        """The representative of the atom's union."""
        root = atom
        while self.parents[root] != root:
            root = self.parents[root]
        while self.parents[atom] != root:
            self.parents[atom], atom = root, self.parents[atom]
        return root

    def unite(self, first: np.ndarray, second: np.ndarray) -> None:
        """Tie two layouts of equal length, position by position."""
        if np.array_equal(first, second):
            return
        for a, b in zip(first.tolist(), second.tolist(), strict=True):
            root_a, root_b = self.find(a), self.find(b)
            if root_a != root_b:
                self.parents[max(root_a, root_b)] = min(root_a, root_b)

    def freeze(self, atoms: np.ndarray, reason: str) -> None:
        """Mark atoms as never to be cut."""
        for atom in atoms.tolist():
            self.reasons.setdefault(atom, reason)

    def bind(self, tensor: str, dim: int, atoms: np.ndarray, role: Role = "other") -> None:
        """Say that `dim` of `tensor` holds these atoms; a second binding ties to the first."""
        self.touched.add(tensor)
        known = self.places.get((tensor, dim))
        if known is None:
            self.places[tensor, dim] = (atoms, role)
        else:
            self.unite(known[0], atoms)
            if role == "out":  # a weight that is tied with its transpose makes channels along both
                self.places[tensor, dim] = (known[0], role)

    def count_by(self, module: str, attribute: str, atoms: np.ndarray) -> None:
        """Say that a module's attribute is the number of these atoms; all calls of it lose the same ones."""
        known = self.sizes.setdefault((module, attribute), atoms)
        if len(known) == len(atoms):
            self.unite(known, atoms)
        else:
            for either in (known, atoms):
                self.freeze(either, f"{module} is called with different numbers of channels")

    def finish(
        self,
        calls: list[tuple[str, int, np.ndarray, bool, str | None]],
        layer_calls: list[LayerCall],
        unknown: list[str],
        unreached: tuple[str, ...] = (),
        fixed_flops: int = 0,
    ) -> ChannelGraph:
        """Number the channels and give the immutable graph."""
        for (tensor, _), (atoms, _) in self.places.items():
            if tensor in self.poisoned:
                self.freeze(atoms, f"{tensor} is used by {self.poisoned[tensor]}")
        roots = np.array([self.find(atom) for atom in range(len(self.parents))], dtype=int)
        channel_of, groups = self._number(roots)

        def numbered(atoms: np.ndarray) -> np.ndarray:
            return channel_of[atoms] if len(atoms) else atoms

        return ChannelGraph(
            groups=groups,
            bindings=tuple(
                Binding(t, d, numbered(atoms), role) for (t, d), (atoms, role) in self.places.items()
            ),
            sizes=tuple(Sized(m, a, numbered(atoms)) for (m, a), atoms in self.sizes.items()),
            probes=tuple(
                Probe(m, n, numbered(atoms), activated, host) for m, n, atoms, activated, host in calls
            ),
            calls=tuple(layer_calls),
            kept={group.name: tuple(range(group.size)) for group in groups},
            unknown=tuple(dict.fromkeys(unknown)),
            unreached=unreached,
            fixed_flops=fixed_flops,
        )

    def _number(self, roots: np.ndarray) -> tuple[np.ndarray, tuple[Group, ...]]:
        """Channel number of every atom (FREE where no layer produces it), and the groups."""
        families = self._families(roots)
        frozen: dict[int, str] = {}
        for atom, reason in self.reasons.items():
            frozen.setdefault(int(roots[atom]), reason)
        read = self._read_by_head(roots)
        channel_of_root: dict[int, int] = {}
        groups: list[Group] = []
        for family in families:
            if not any(block.layer for block in family):
                continue
            start = len(channel_of_root)
            reasons = []
            for block in family:
                for root in roots[block.start : block.stop].tolist():
                    channel_of_root.setdefault(root, len(channel_of_root))
                    if root in frozen:
                        reasons.append(frozen[root])
            layers = [block for block in family if block.layer]
            groups.append(
                Group(
                    name=layers[0].name,
                    start=start,
                    stop=len(channel_of_root),
                    producers=tuple(block.name for block in layers),
                    frozen=reasons[0] if reasons else None,
                    transposed=all(block.transposed for block in layers),
                    before_head=any(not read.isdisjoint(roots[b.start : b.stop].tolist()) for b in layers),
                )
            )
        channel_of = np.array([channel_of_root.get(int(root), FREE) for root in roots], dtype=int)
        return channel_of, tuple(groups)

    def _read_by_head(self, roots: np.ndarray) -> set[int]:
        """Representatives of the atoms that go into the layers which make the output."""
        made = self._made_by_head(roots)
        heads = {t for t, atoms in self._bound("out") if not made.isdisjoint(roots[atoms].tolist())}
        return {root for t, atoms in self._bound("in") if t in heads for root in roots[atoms].tolist()} - made

    def _made_by_head(self, roots: np.ndarray) -> set[int]:
        """Of the output's atoms; where the way to it was lost, of frozen ones that no other layer reads."""
        if self.output is not None:
            return set(roots[self.output].tolist())
        frozen = {int(roots[atom]) for atom in self.reasons}
        made = {root for _, atoms in self._bound("out") for root in roots[atoms].tolist()}
        return made & frozen - {root for _, atoms in self._bound("in") for root in roots[atoms].tolist()}

    def _bound(self, role: Role) -> Iterator[tuple[str, np.ndarray]]:
        """Tensors and atoms of the places of this role."""
        return ((tensor, atoms) for (tensor, _), (atoms, r) in self.places.items() if r == role)

    def _families(self, roots: np.ndarray) -> list[list[Block]]:
        """Blocks that share a united atom, in order of creation."""
        block_of = np.empty(len(roots), dtype=int)
        for index, block in enumerate(self.blocks):
            block_of[block.start : block.stop] = index
        leader = list(range(len(self.blocks)))

        def lead(index: int) -> int:
            while leader[index] != index:
                index = leader[index]
            return index

        for atom, root in enumerate(roots.tolist()):
            a, b = lead(int(block_of[atom])), lead(int(block_of[root]))
            leader[max(a, b)] = min(a, b)
        families: dict[int, list[Block]] = {}
        for index, block in enumerate(self.blocks):
            families.setdefault(lead(index), []).append(block)
        return list(families.values())
