"""Masks as outlines: paths along the borders of their pixels, in the language of SVG."""

from __future__ import annotations

import numpy as np

Corner = tuple[int, int]  # column and row of a pixel's corner


def outline(mask: np.ndarray) -> str:
    """The border of a mask (rows, columns) as the `d` of an SVG path in pixels; "" for an empty mask."""
    steps = _steps(mask.astype(bool))
    loops = []
    while steps:
        start = here = next(iter(steps))
        corners = [start]
        while True:
            ends = steps[here]
            there = ends.pop()
            if not ends:
                del steps[here]
            here = there
            if here == start:
                break
            corners.append(here)
        loops.append(_path(corners))
    return "".join(loops)


def _steps(mask: np.ndarray) -> dict[Corner, list[Corner]]:
    """Every border of a pixel with the outside, clockwise, by the corner it starts at."""
    wide = np.pad(mask, 1)
    inside = wide[1:-1, 1:-1]
    sides = (
        (wide[:-2, 1:-1], (0, 0), (1, 0)),  # the neighbour above, from the left corner to the right
        (wide[1:-1, 2:], (1, 0), (1, 1)),
        (wide[2:, 1:-1], (1, 1), (0, 1)),
        (wide[1:-1, :-2], (0, 1), (0, 0)),
    )
    steps: dict[Corner, list[Corner]] = {}
    for neighbour, (x0, y0), (x1, y1) in sides:
        for row, column in np.argwhere(inside & ~neighbour).tolist():
            steps.setdefault((column + x0, row + y0), []).append((column + x1, row + y1))
    return steps


def _path(corners: list[Corner]) -> str:
    """A closed loop; steps in one direction are joined."""
    text, (x, y) = f"M{corners[0][0]} {corners[0][1]}", corners[0]
    run = (0, 0)
    for column, row in corners[1:]:
        step = (column - x, row - y)
        if run[0] * step[1] or run[1] * step[0]:  # a bend
            text += _line(run)
            run = (0, 0)
        run = (run[0] + step[0], run[1] + step[1])
        x, y = column, row
    return text + _line(run) + "z"


def _line(run: Corner) -> str:
    return f"h{run[0]}" if run[0] else f"v{run[1]}"
