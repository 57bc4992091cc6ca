"""As many threads for NumPy, whose operations have one, as torch uses."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


def parallel_map(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Call a function with each item, on as many threads as torch has.

    Args:
        work: A function that releases Python's lock, as NumPy's passes over many numbers do. It must call neither this
            function nor operations of torch, which have threads of their own.
        items: Each thread takes the next one. There are at least two for each thread, or fewer threads are used: to
            hand over a single item costs about as much as it saves.

    Returns:
        The results, in the order of the items.
    """
    most = torch.get_num_threads()
    threads = min(most, len(items) // 2)
    if threads < 2:
        return [work(item) for item in items]
    results: dict[int, Result] = {}
    indices = iter(range(len(items)))

    def take() -> None:
        for index in indices:
            results[index] = work(items[index])

    pool = _pool(most - 1)
    helpers = [pool.submit(take) for _ in range(threads - 1)]
    try:
        take()
    finally:
        for helper in helpers:
            if not helper.cancel():  # a thread that starts too late is not waited for
                helper.result()
    return [results[index] for index in range(len(items))]


@lru_cache(maxsize=4)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "slt_bench")
