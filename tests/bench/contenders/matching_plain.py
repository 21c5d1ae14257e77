"""Pairing by ready-made scores: scipy's dense assignment, and two greedy ways."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from tests.bench.peers.stopwatch import Stopwatch, contend

Worth = NDArray[np.int32]
Pairs = list[list[int]]


def pair(task: dict[str, Any]) -> dict[str, Any]:
    """Pair in the way that the task names."""
    worth = np.fromfile(task["worth"], np.int32).reshape(task["rows"], task["columns"])
    return _WAYS[task["way"]](worth, task)


def _dense(worth: Worth, task: dict[str, Any]) -> dict[str, Any]:
    """As scipy's manual shows it: a matrix of floating point, of which the most is wanted."""
    # As much as all scores together, so that as many as can be are served; 0 is no pair.
    scores = worth + float(task["bonus"])
    scores[worth < 0] = 0
    return _timed(lambda: linear_sum_assignment(scores, maximize=True), worth)


def _dense_cost(worth: Worth, task: dict[str, Any]) -> dict[str, Any]:
    """Handed as costs, which saves scipy a copy."""
    cost = worth.astype(np.float64)
    del worth
    np.add(cost, float(task["bonus"]), out=cost, where=cost >= 0)
    np.negative(cost, out=cost, where=cost >= 0)
    np.minimum(cost, 0, out=cost)
    return _timed(lambda: linear_sum_assignment(cost), cost <= 0)


def _timed(assign: Callable[[], Any], worth: NDArray[Any]) -> dict[str, Any]:
    watch = Stopwatch()
    rows, columns = assign()
    spent = watch.read()
    pairs = [
        [int(row), int(column)]
        for row, column in zip(rows, columns, strict=True)
        if worth[row, column] >= 0
    ]
    return spent | {"pairs": pairs}


def _best_first(worth: Worth, _: dict[str, Any]) -> dict[str, Any]:
    """The best pair of all, then the best of those that are left, and so on."""
    watch = Stopwatch()
    rows, columns = np.nonzero(worth >= 0)
    order = np.argsort(-worth[rows, columns], kind="stable")
    pairs: Pairs = []
    free_rows, free_columns = [True] * worth.shape[0], [True] * worth.shape[1]
    for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        if free_rows[row] and free_columns[column]:
            free_rows[row] = free_columns[column] = False
            pairs.append([row, column])
    return watch.read() | {"pairs": pairs}


def _first_come(worth: Worth, task: dict[str, Any]) -> dict[str, Any]:
    """Who waits longest chooses the best mentor who is free, then the next one."""
    watch = Stopwatch()
    pairs: Pairs = []
    free = np.ones(worth.shape[1], np.bool_)
    for row in task["by waiting"]:
        column = int(np.where(free, worth[row], -1).argmax())
        if free[column] and worth[row, column] >= 0:
            free[column] = False
            pairs.append([row, column])
    return watch.read() | {"pairs": pairs}


_WAYS: dict[str, Callable[[Worth, dict[str, Any]], dict[str, Any]]] = {
    "dense": _dense,
    "dense, as costs": _dense_cost,
    "best first": _best_first,
    "first come": _first_come,
}


if __name__ == "__main__":
    contend(pair)
