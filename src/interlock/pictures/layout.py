"""Computes the positions of boxes and arrows: a layered layout, from top to bottom, deterministic on every machine.

The classic four steps (Sugiyama, Tagawa and Toda 1981): reverse back edges, assign boxes to layers, order each layer so that few
arrows cross, and move boxes sideways until arrows are nearly straight. The labels of arrows are boxes of their own, so that no
text overlaps anything.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Key = tuple[str, ...]
"""A box of the layout: `("box", name)`, `("label", source, target)`, or a bend of a long arrow."""
_SWEEPS = 24
_STRAIGHTENINGS = 30


@dataclass(frozen=True)
class Size:
    """The size of a box, in pixels."""

    width: float
    height: float


@dataclass(frozen=True)
class Spacing:
    """Between boxes, in pixels."""

    beside: float = 26.0
    below: float = 26.0


@dataclass(frozen=True)
class Layout:
    """The result: centres of boxes and labels, the points of each arrow, and the total size."""

    boxes: Mapping[str, tuple[float, float]]
    labels: Mapping[tuple[str, str], tuple[float, float]]
    arrows: Mapping[tuple[str, str], Sequence[tuple[float, float]]]
    width: float
    height: float


def lay_out(
    boxes: Mapping[str, Size], arrows: Mapping[tuple[str, str], Size], *, spacing: Spacing | None = None
) -> Layout:
    """Lay out a graph.

    Args:
        boxes: The boxes by name, the first one first.
        arrows: Source and target of each arrow, with the size of its label. No arrow leads back to its own box.
        spacing: Between boxes.
    """
    return _Layers(boxes, arrows, spacing or Spacing()).layout()


class _Layers:
    def __init__(self, boxes: Mapping[str, Size], arrows: Mapping[tuple[str, str], Size], spacing: Spacing) -> None:
        self._boxes = boxes
        self._arrows = arrows
        self._spacing = spacing
        self._sizes: dict[Key, Size] = {("box", name): size for name, size in boxes.items()}
        self._down = _without_cycles(list(boxes), list(arrows))
        self._layer: dict[Key, int] = {}
        self._chains: dict[tuple[str, str], list[Key]] = {}
        self._above: dict[Key, list[Key]] = {}
        self._below: dict[Key, list[Key]] = {}
        self._rows: list[list[Key]] = []

    def layout(self) -> Layout:
        self._assign_layers()
        self._chain_arrows()
        self._order()
        across = self._straighten()
        return self._placed(across)

    def _assign_layers(self) -> None:
        # Boxes are in even layers; the odd layers between them hold the labels of arrows.
        layers = dict.fromkeys(self._boxes, 0)
        for _ in self._boxes:
            for first, second in self._down.values():
                layers[second] = max(layers[second], layers[first] + 2)
        for name in reversed(list(self._boxes)):  # move a box without predecessors down to its successors
            below = [layers[second] for first, second in self._down.values() if first == name]
            above = [layers[first] for first, second in self._down.values() if second == name]
            if below and not above and name != next(iter(self._boxes)):
                layers[name] = min(below) - 2
        self._layer = {("box", name): layer for name, layer in layers.items()}

    def _chain_arrows(self) -> None:
        for arrow, (first, second) in self._down.items():
            top, bottom = self._layer["box", first], self._layer["box", second]
            middle = top + 1 if bottom - top <= 2 else (top + bottom) // 2 | 1
            chain: list[Key] = [("box", first)]
            for layer in range(top + 1, bottom):
                key: Key = ("label", *arrow) if layer == middle else ("bend", *arrow, str(layer))
                self._layer[key] = layer
                self._sizes[key] = self._arrows[arrow] if layer == middle else Size(8, 0)
                chain.append(key)
            chain.append(("box", second))
            self._chains[arrow] = chain
            for upper, lower in itertools.pairwise(chain):
                self._below.setdefault(upper, []).append(lower)
                self._above.setdefault(lower, []).append(upper)
        self._rows = [[] for _ in range(max(self._layer.values()) + 1)]
        for key, layer in self._layer.items():
            self._rows[layer].append(key)

    def _order(self) -> None:
        best, fewest = [list(row) for row in self._rows], self._crossings()
        for sweep in range(_SWEEPS):
            down = sweep % 2 == 0
            rows = range(1, len(self._rows)) if down else range(len(self._rows) - 2, -1, -1)
            for number in rows:
                beside = self._rows[number - 1 if down else number + 1]
                place = {key: at for at, key in enumerate(beside)}
                near = self._above if down else self._below
                row = self._rows[number]
                now = {key: at for at, key in enumerate(row)}
                row.sort(key=lambda key: (_mean([place[other] for other in near.get(key, [])], now[key]), now[key]))
            crossings = self._crossings()
            if crossings < fewest:
                best, fewest = [list(row) for row in self._rows], crossings
        self._rows = best

    def _crossings(self) -> int:
        total = 0
        for upper, lower in itertools.pairwise(self._rows):
            place = {key: at for at, key in enumerate(lower)}
            ends = [sorted(place[other] for other in self._below.get(key, [])) for key in upper]
            flat = [at for row in ends for at in row]
            total += sum(flat[i] > flat[j] for i in range(len(flat)) for j in range(i + 1, len(flat)))
        return total

    def _straighten(self) -> dict[Key, float]:
        across: dict[Key, float] = {}
        for row in self._rows:
            at = 0.0
            for key in row:
                across[key] = at + self._sizes[key].width / 2
                at += self._sizes[key].width + self._spacing.beside
        for turn in range(_STRAIGHTENINGS):
            down = turn % 2 == 0
            for number in range(len(self._rows)) if down else range(len(self._rows) - 1, -1, -1):
                self._move(self._rows[number], across, self._above if down else self._below)
        for row in self._rows:
            self._move(row, across, {key: [*self._above.get(key, []), *self._below.get(key, [])] for key in row})
        left = min(across[key] - self._sizes[key].width / 2 for key in across)
        return {key: at - left for key, at in across.items()}

    def _move(self, row: list[Key], across: dict[Key, float], near: Mapping[Key, list[Key]]) -> None:
        """Move the boxes of a row towards their connected boxes, keeping order and distances.

        Overlapping boxes share the displacement: the least squares solution, found by pooling neighbours.
        """
        if not row:
            return
        offsets, pools = [0.0], []
        for left, right in itertools.pairwise(row):
            gap = (self._sizes[left].width + self._sizes[right].width) / 2 + self._spacing.beside
            offsets.append(offsets[-1] + gap)
        for key, offset in zip(row, offsets, strict=True):
            others = near.get(key, [])
            wanted = _mean([across[other] for other in others], across[key]) - offset
            weight = 0.1 + sum(8.0 if key[0] == "bend" and other[0] == "bend" else 1.0 for other in others)
            pools.append([wanted * weight, weight, 1])
            while len(pools) > 1 and pools[-2][0] / pools[-2][1] > pools[-1][0] / pools[-1][1]:
                last = pools.pop()
                pools[-1] = [one + other for one, other in zip(pools[-1], last, strict=True)]
        number = 0
        for total, weight, count in pools:
            for _ in range(int(count)):
                across[row[number]] = total / weight + offsets[number]
                number += 1

    def _placed(self, across: dict[Key, float]) -> Layout:
        heights = [max((self._sizes[key].height for key in row), default=0.0) for row in self._rows]
        middles, top = [], 0.0
        for number, height in enumerate(heights):
            middles.append(top + height / 2)
            # Layers of labels are closer to their neighbours than layers of boxes.
            top += height + self._spacing.below * (1.0 if number % 2 else 0.8)
        down = {key: middles[layer] for key, layer in self._layer.items()}
        arrows = {}
        for arrow, chain in self._chains.items():
            points = self._points(chain, across, down, heights)
            arrows[arrow] = points if self._down[arrow] == arrow else points[::-1]
        right = max(across[key] + size.width / 2 for key, size in self._sizes.items() if key in across)
        return Layout(
            boxes={key[1]: (across[key], down[key]) for key in across if key[0] == "box"},
            labels={(key[1], key[2]): (across[key], down[key]) for key in across if key[0] == "label"},
            arrows=arrows,
            width=right,
            height=middles[-1] + heights[-1] / 2,
        )

    def _points(
        self, chain: list[Key], across: dict[Key, float], down: dict[Key, float], heights: list[float]
    ) -> list[tuple[float, float]]:
        first, last = chain[0], chain[-1]
        start = (self._port(first, chain[1], across, self._below), down[first] + self._sizes[first].height / 2)
        end = (self._port(last, chain[-2], across, self._above), down[last] - self._sizes[last].height / 2)
        points = [start]
        for key in chain[1:-1]:
            # Vertical beside the boxes of a layer: a curve would cut their corners.
            half = heights[self._layer[key]] / 2 if key[0] == "bend" and self._layer[key] % 2 == 0 else 0.0
            points += (
                [(across[key], down[key] - half), (across[key], down[key] + half)]
                if half
                else [(across[key], down[key])]
            )
        return [*points, end]

    def _port(self, box: Key, towards: Key, across: dict[Key, float], near: Mapping[Key, list[Key]]) -> float:
        """The point where an arrow meets its box: arrows on one side are spread in the order of their other ends."""
        others = sorted(near[box], key=lambda key: across[key])
        room = min(self._sizes[box].width * 0.7, 34.0 * (len(others) - 1))
        if len(others) == 1:
            return across[box]
        return across[box] - room / 2 + room * others.index(towards) / (len(others) - 1)


def _without_cycles(boxes: list[str], arrows: list[tuple[str, str]]) -> dict[tuple[str, str], tuple[str, str]]:
    """Each arrow with its layout direction: back edges are reversed."""
    reached: set[str] = set()
    finished: set[str] = set()
    back: set[tuple[str, str]] = set()
    following = {name: [target for source, target in arrows if source == name] for name in boxes}

    for start in boxes:
        if start in reached:
            continue
        reached.add(start)
        walk = [(start, iter(following[start]))]
        while walk:
            name, rest = walk[-1]
            target = next(rest, None)
            if target is None:
                finished.add(name)
                walk.pop()
            elif target not in reached:
                reached.add(target)
                walk.append((target, iter(following[target])))
            elif target not in finished:
                back.add((name, target))
    return {arrow: (arrow[1], arrow[0]) if arrow in back else arrow for arrow in arrows}


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise
