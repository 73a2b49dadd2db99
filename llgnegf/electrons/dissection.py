"""How a lattice is cut for nested dissection: a tree of separators, found for its size, periodicity and leads.

A separator is a column or a row of sites that splits a rectangle of sites into two which have no bond with each other
(George, SIAM J. Numer. Anal. 10, 345 (1973)); each part is split again, down to small rectangles, the leaves.  The
leaves are eliminated first.  Eliminating a rectangle couples all sites around it, so that each node of the tree
has a dense matrix, its *front*: of the sites it eliminates (`own`), and of those around its rectangle (`around`), which
are eliminated later.

The self-energy of a lead couples all sites of a column at an end.  Such a column is never cut; it is a separator of its
own, taken where it costs least.  With periodic y the first cut along x takes two rows.

Among the orders that halve rectangles, that with the least estimated time is taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]

# Times for the choice of the cuts, in units of one complex multiply-add of a product of large matrices: of an element
# of a matrix that is copied or added, of one node, and of the same multiply-add within an inverse.
_ELEMENT = 12.0
_NODE = 25_000.0
_INVERSE = 2.5
# Larger rectangles (sites) are no leaves, if they can be cut.
_LARGEST_LEAF = 100


@dataclass(frozen=True)
class Dissection:
    """The nodes of the tree, each after its children; sites are x ny + y.

    parent: (n,), of each node, -1 at the last one; depth: (n,), 0 at the last one.
    first_child, next_sibling: (n,), -1 where there is none.
    own_start (n + 1,), own: sites that a node eliminates.  around_start (n + 1,), around: sites of its front eliminated
    later; place: where each of them stands in the front of the parent, own sites first; inner: (n,), how many of them
    are own sites of the parent, which come first.
    bond_start (n + 1,), bonds (n_bonds, 4): the bonds of each own site to own sites and to those around: number of the
    own site, place of the other site in the front, whether the bond begins at the own site, index in (nx, 2, ny).
    lead_nodes: the nodes whose own sites contain the first and the last column if a lead is there, else -1; lead_places
    (2, ny): where its sites stand among them.
    cost: estimated time of all blocks of G on the sites at one energy, in complex multiply-adds of a product of large
    matrices.
    sizes: numbers of matrix elements: of the factors, of fronts at the same time on even and on odd depths on the way
    up, and on the way down.
    """

    parent: Indices
    depth: Indices
    first_child: Indices
    next_sibling: Indices
    own_start: Indices
    own: Indices
    around_start: Indices
    around: Indices
    place: Indices
    inner: Indices
    bond_start: Indices
    bonds: Indices
    lead_nodes: Indices
    lead_places: Indices
    cost: float
    sizes: tuple[int, int, int, int]

    @property
    def arrays(self) -> tuple[Indices, ...]:
        """The arrays in their order, for the kernels."""
        return (
            self.parent,
            self.depth,
            self.first_child,
            self.next_sibling,
            self.own_start,
            self.own,
            self.around_start,
            self.around,
            self.place,
            self.inner,
            self.bond_start,
            self.bonds,
            self.lead_nodes,
            self.lead_places,
        )


class _Shape(NamedTuple):
    """A rectangle of width x height sites; which of its sides (-x, +x, -y, +y) have neighbours; whether it is a ring
    in y; whether its first and its last column belong to a lead.
    """

    width: int
    height: int
    sides: tuple[bool, bool, bool, bool]
    ring: bool
    leads: tuple[bool, bool]

    @property
    def around(self) -> int:
        """Matrix elements in a row of all sites around it."""
        return 2 * (self.height * sum(self.sides[:2]) + self.width * sum(self.sides[2:]))


class _Region(NamedTuple):
    """A rectangle of sites at x0 <= x < x1 and y0 <= y < y1, with its shape."""

    x0: int
    x1: int
    y0: int
    y1: int
    shape: _Shape


class _Cut(NamedTuple):
    """Columns and rows that a separator takes, counted from the corner of its rectangle; none: it is a leaf."""

    columns: tuple[int, ...] = ()
    rows: tuple[int, ...] = ()


def _node_cost(s: int, b: int) -> float:
    """Of a node with s own matrix rows and b around it, way up and down."""
    return _NODE + _INVERSE * s**3 + 3 * s * s * b + 3 * s * b * b + _ELEMENT * (2 * b * b + 2 * s * b + 2 * s * s)


def _leaf_cost(s: int, b: int) -> float:
    """Of a leaf: what couples it to its surroundings is sparse, and only 2 x 2 blocks of the result are needed."""
    return _NODE + _INVERSE * s**3 + s * b * b + _ELEMENT * (2 * b * b + 3 * s * b + 2 * s * s)


def _parts(shape: _Shape, cut: _Cut) -> list[tuple[int, int, int, int, _Shape]]:
    """Rectangles left by a cut, as x0, x1, y0, y1 from the corner, with their shapes; empty ones are left out."""
    w, h, (left, right, down, up), ring, (first, last) = shape
    found = []
    if cut.columns:
        edges = [-1, *cut.columns, w]
        for a, b in pairwise(edges):
            if b - a > 1:
                sides = left if a < 0 else True, right if b == w else True, down, up
                found.append((a + 1, b, 0, h, _Shape(b - a - 1, h, sides, ring, (first and a < 0, last and b == w))))
    else:
        edges = [-1, *cut.rows, h]
        for a, b in pairwise(edges):
            if b - a > 1:
                sides = left, right, down if a < 0 and not ring else True, up if b == h and not ring else True
                found.append((0, w, a + 1, b, _Shape(w, b - a - 1, sides, False, (False, False))))
    return found


def _cuts(shape: _Shape) -> list[_Cut]:
    """The cuts to choose from, `_Cut()` for a leaf."""
    w, h, _, ring, leads = shape
    ends = tuple(x for x, lead in zip((0, w - 1), leads, strict=True) if lead)
    found = []
    if w > 1:
        found.append(_Cut(columns=(w // 2,)))
        if ends:
            found.append(_Cut(columns=tuple(dict.fromkeys(ends))))
    if h > 1 and not ends:
        found.append(_Cut(rows=(0, h // 2) if ring else (h // 2,)))
    if w * h <= _LARGEST_LEAF or not found:
        found.append(_Cut())
    return found


def _best(shape: _Shape, known: dict[_Shape, tuple[float, _Cut]]) -> tuple[float, _Cut]:
    """Least cost of eliminating this rectangle, and the first cut of that; known: of shapes met before."""
    if shape not in known:
        options = []
        for cut in _cuts(shape):
            if cut == _Cut():
                cost = _leaf_cost(2 * shape.width * shape.height, shape.around)
            else:
                own = 2 * (len(cut.columns) * shape.height + len(cut.rows) * shape.width)
                parts = sum(_best(part, known)[0] for *_, part in _parts(shape, cut))
                cost = _node_cost(own, shape.around) + parts
            options.append((cost, cut))
        known[shape] = min(options, key=lambda option: option[0])
    return known[shape]


@dataclass
class _Node:
    """A node while the tree is made; place: of each site of the front."""

    parent: _Node | None
    own: list[int]
    around: list[int]
    depth: int
    children: list[_Node]
    place: dict[int, int]


class _Tree:
    """The tree as objects."""

    def __init__(self, nx: int, ny: int, periodic: bool, leads: tuple[bool, bool]) -> None:
        self.nx, self.ny, self.periodic = nx, ny, periodic and ny > 1
        self.known: dict[_Shape, tuple[float, _Cut]] = {}
        shape = _whole(nx, ny, periodic, leads)
        self.cost, _ = _best(shape, self.known)
        self.nodes: list[_Node] = []
        self._grow(_Region(0, nx, 0, ny, shape), None)

    def _grow(self, region: _Region, parent: _Node | None) -> None:
        """Add the nodes of this rectangle, the last of them with this parent."""
        x0, x1, y0, y1, shape = region
        _, cut = _best(shape, self.known)
        if cut == _Cut():
            own = [x * self.ny + y for x in range(x0, x1) for y in range(y0, y1)]
        elif cut.columns:
            own = [(x0 + x) * self.ny + y for x in cut.columns for y in range(y0, y1)]
        else:
            own = [x * self.ny + y0 + y for y in cut.rows for x in range(x0, x1)]
        around = sorted(self._around(region), key=parent.place.__getitem__) if parent else []
        place = {site: i for i, site in enumerate([*own, *around])}
        node = _Node(parent, own, around, parent.depth + 1 if parent else 0, [], place)
        if parent:
            parent.children.append(node)
        for a, b, c, d, part in _parts(shape, cut) if cut != _Cut() else []:
            self._grow(_Region(x0 + a, x0 + b, y0 + c, y0 + d, part), node)
        self.nodes.append(node)

    def _around(self, region: _Region) -> set[int]:
        """Sites next to this rectangle."""
        x0, x1, y0, y1, shape = region
        left, right, down, up = shape.sides
        columns = [x for x, there in ((x0 - 1, left), (x1, right)) if there]
        rows = [y % self.ny for y, there in ((y0 - 1, down), (y1, up)) if there]
        found = {x * self.ny + y for x in columns for y in range(y0, y1)}
        return found | {x * self.ny + y for y in rows for x in range(x0, x1)}

    def bonds(self, node: _Node) -> list[tuple[int, int, int, int]]:
        """See `Dissection.bonds`."""
        found = []
        for i, site in enumerate(node.own):
            x, y = divmod(site, self.ny)
            number = 2 * self.ny * x + y  # of the bond to the next x; to the next y: ny more
            up, down = (y + 1) % self.ny, (y - 1) % self.ny
            # (other site, bond, whether the bond begins here)
            near = [(site + self.ny, number, 1)] if x + 1 < self.nx else []
            near += [(site - self.ny, number - 2 * self.ny, 0)] if x else []
            if self.ny > 1 and (self.periodic or up):
                near.append((x * self.ny + up, number + self.ny, 1))
            if self.ny > 1 and (self.periodic or y):
                near.append((x * self.ny + down, 2 * self.ny * x + self.ny + down, 0))
            for other, bond, begins in near:
                place = node.place.get(other)
                # A bond between two own sites is met from both; it is taken from where it begins.
                if place is not None and (begins or place >= len(node.own)):
                    found.append((i, place, begins, bond))
        return found


def _starts(lists: list[list]) -> Indices:
    return np.cumsum([0, *map(len, lists)])


def _joined(lists: list[list]) -> Indices:
    return np.array([one for each in lists for one in each], np.int64)


def _whole(nx: int, ny: int, periodic: bool, leads: tuple[bool, bool]) -> _Shape:
    return _Shape(nx, ny, (False, False, False, False), periodic and ny > 1, leads)


@lru_cache(maxsize=64)
def least_cost(nx: int, ny: int, periodic: bool, leads: tuple[bool, bool]) -> float:
    """`Dissection.cost`, found without the tree; arguments as for `dissect`."""
    return _best(_whole(nx, ny, periodic, leads), {})[0]


@lru_cache(maxsize=16)
def dissect(nx: int, ny: int, periodic: bool, leads: tuple[bool, bool]) -> Dissection:
    """The tree of a lattice of nx x ny sites; leads: whether there is one at the first and at the last x."""
    tree = _Tree(nx, ny, periodic, leads)
    nodes = tree.nodes
    number = {id(node): i for i, node in enumerate(nodes)}
    first_child, next_sibling = np.full(len(nodes), -1), np.full(len(nodes), -1)
    for i, node in enumerate(nodes):
        order = [number[id(child)] for child in node.children]
        if order:
            first_child[i] = order[0]
            next_sibling[order[:-1]] = order[1:]
    bonds = [tree.bonds(node) for node in nodes]
    place = [[node.parent.place[site] for site in node.around] if node.parent else [] for node in nodes]
    lead_nodes, lead_places = np.full(2, -1), np.zeros((2, ny), np.int64)
    for side, (x, there) in enumerate(zip((0, nx - 1), leads, strict=True)):
        if there:
            column = [x * ny + y for y in range(ny)]
            lead_nodes[side] = next(
                i for i, node in enumerate(nodes) if node.place.get(column[0], ny * nx) < len(node.own)
            )
            own = nodes[lead_nodes[side]].place
            lead_places[side] = [own[site] for site in column]
    found = Dissection(
        parent=np.array([number[id(node.parent)] if node.parent else -1 for node in nodes]),
        depth=np.array([node.depth for node in nodes]),
        first_child=first_child,
        next_sibling=next_sibling,
        own_start=_starts([node.own for node in nodes]),
        own=_joined([node.own for node in nodes]),
        around_start=_starts([node.around for node in nodes]),
        around=_joined([node.around for node in nodes]),
        place=_joined(place),
        inner=np.array(
            [
                sum(p < len(node.parent.own) for p in ps) if node.parent else 0
                for node, ps in zip(nodes, place, strict=True)
            ]
        ),
        bond_start=_starts(bonds),
        bonds=np.array([bond for each in bonds for bond in each], np.int64).reshape(-1, 4),
        lead_nodes=lead_nodes,
        lead_places=lead_places,
        cost=tree.cost,
        sizes=_sizes(nodes),
    )
    for name in Dissection.__dataclass_fields__:
        value = getattr(found, name)
        if isinstance(value, np.ndarray):
            value.flags.writeable = False
    return found


def _sizes(nodes: list[_Node]) -> tuple[int, int, int, int]:
    """See `Dissection.sizes`."""
    factors, up, most = 0, [0, 0], [0, 0]
    for node in nodes:
        s, b = 2 * len(node.own), 2 * len(node.around)
        factors += s * s + 2 * s * b if node.children else s * s
        even = node.depth % 2
        up[even] += b * b
        most[even] = max(most[even], up[even])
        up[1 - even] -= sum((2 * len(child.around)) ** 2 for child in node.children)
    down: dict[int, int] = {}
    for node in reversed(nodes):
        front = 2 * (len(node.own) + len(node.around))
        down[id(node)] = front**2 + (down[id(node.parent)] if node.parent else 0)
    return factors, most[0], most[1], max(down.values())
