"""Executors: the same tasks on one core, on the cores of this machine, or on a Dask cluster."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

from ionsmith.core.errors import ExecutionError, InputError

T = TypeVar("T")
R = TypeVar("R")
_ALLOWED_DEATHS = 1  # a task may take one worker down (two large cells at once) and is then tried once more


class SerialExecutor:
    """Runs tasks one after the other in this process."""

    def map(self, function: Callable[[T], R], tasks: Iterable[T]) -> Iterator[tuple[T, R | ExecutionError]]:
        """Yield (task, result) pairs in order.

        Args:
            function: what to do with each task.
            tasks: consumed lazily.
        """
        for task in tasks:
            yield task, function(task)

    def close(self) -> None:
        """Nothing to give back."""


class DaskExecutor:
    """Runs tasks on Dask workers: processes of this machine, or a scheduler that is already there.

    Args:
        workers: number of local processes, one thread each; ignored when ``scheduler`` is given.
        scheduler: address such as ``tcp://head-node:8786``.

    Raises:
        InputError: fewer than one worker, or a scheduler that does not answer.
    """

    def __init__(self, workers: int = 2, *, scheduler: str = "") -> None:
        if workers < 1:
            raise InputError(f"--workers: expected at least 1, got {workers}")
        self._cluster, self._client = _connect(workers, scheduler)

    def map(self, function: Callable[[T], R], tasks: Iterable[T]) -> Iterator[tuple[T, R | ExecutionError]]:
        """Yield (task, result) pairs as they finish; a dead worker yields an ``ExecutionError``.

        Args:
            function: what to do with each task; must be picklable.
            tasks: consumed lazily, a few ahead of the workers.
        """
        from distributed import as_completed

        queue = iter(tasks)
        # one task a worker and none waiting behind it, so that a dying worker takes no innocent task along
        ahead = max(1, len(self._client.scheduler_info(n_workers=-1)["workers"]))
        pending = {self._submit(function, task): task for task in islice(queue, ahead)}
        finished = as_completed(pending)
        for future in finished:
            task = pending.pop(future)
            yield task, _result(future)
            future.release()
            for following in islice(queue, 1):
                new = self._submit(function, following)
                pending[new] = following
                finished.add(new)

    def close(self) -> None:
        """Disconnect, and stop the workers that this executor started."""
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()

    def _submit(self, function: Callable[[T], R], task: T) -> Any:
        return self._client.submit(function, task, pure=False, retries=0)


def make_executor(workers: int = 1, *, scheduler: str = "") -> SerialExecutor | DaskExecutor:
    """Return the executor that the command line's ``--workers`` and ``--scheduler`` ask for.

    Args:
        workers: number of processes.
        scheduler: address of a running Dask scheduler, or empty.

    Raises:
        InputError: fewer than one worker, or a scheduler that does not answer.
    """
    if scheduler or workers != 1:
        return DaskExecutor(workers, scheduler=scheduler)
    return SerialExecutor()


def _connect(workers: int, scheduler: str) -> tuple[Any, Any]:
    import dask
    from distributed import Client, LocalCluster

    # one numerical thread a process: N processes with N threads each would fight over N cores
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
    environment = {**dict.fromkeys(names, "1"), "PYTHONWARNINGS": "ignore"}
    settings = {
        "distributed.nanny.pre-spawn-environ": environment,
        "distributed.scheduler.allowed-failures": _ALLOWED_DEATHS,
        "distributed.worker.daemon": True,
    }
    for noisy in ("distributed", "tornado", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)  # a dead worker is reported as a failed row
    with dask.config.set(settings):
        try:
            if scheduler:
                return None, Client(scheduler, timeout="20s")
            cluster = LocalCluster(
                n_workers=workers, threads_per_worker=1, dashboard_address=None, silence_logs=logging.CRITICAL
            )
            return cluster, Client(cluster)
        except (OSError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(
                f"--scheduler {scheduler}: expected a Dask scheduler that answers, got: {reason}"
            ) from error


def _result(future: Any) -> Any:
    error = future.exception()
    if error is None:
        return future.result()
    if type(error).__name__ in ("KilledWorker", "CancelledError", "FutureCancelledError"):
        return ExecutionError(f"the worker process died: {str(error).splitlines()[0]}")
    raise error
