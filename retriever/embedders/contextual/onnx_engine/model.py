"""A sentence model in onnxruntime: its graph opened, computed in threads, or put into bytes."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property, partial
from itertools import chain, groupby, islice
from pathlib import Path
from typing import Any, TypeVar

from indexes.errors import InputError, ModelNotAvailableError
from retriever.embedders.base import Matrix
from retriever.embedders.contextual.batching import Batch
from retriever.embedders.contextual.onnx_engine.export import INPUTS, OUTPUT
from retriever.hardware import threads

Item = TypeVar("Item")
Made = TypeVar("Made")

# Two texts of 256 tokens: small enough for a core's own cache, and enough texts of a few words.
BUDGET = 512
# Longer texts are not computed side by side: one of 8,192 tokens takes 3 GB, with 12 heads.
WIDE = 1024
# So many batches for each thread are read ahead: none waits, and few are held.
AHEAD = 2
# Errors only: onnxruntime warns of what it makes of a graph on this machine.
QUIET = 3


class OnnxModel:
    """Computes the graph in a file (see `graphs.py`) on the processor.

    Many batches are computed side by side, each by one thread: that needs no waiting for each
    other, and beats one batch in all threads by a fifth. A single batch gets all threads, and so
    does one of long texts, whose memory grows with the square of their length.

    An `int8` graph measures the numbers of a whole batch to find their scale, so that a text's
    vector would depend on its neighbours. There, each text is a batch of its own.

    Raises:
        ModelNotAvailableError: onnxruntime is not installed, or cannot be imported.
    """

    def __init__(self, graph: Path, precision: str) -> None:
        self._graph, self._precision = graph, precision
        self._engine = _onnxruntime()

    @property
    def runtime(self) -> str:
        """What computes."""
        return "onnx"

    @property
    def precision(self) -> str:
        """In which numbers it computes: `float32` or `int8`."""
        return self._precision

    @property
    def budget(self) -> int:
        """How many places for tokens a batch should have at most; 1: each text is alone."""
        return 1 if self._precision == "int8" else BUDGET

    def embed_all(
        self, batches: Iterable[Batch], skipped: int = 0
    ) -> Iterator[tuple[Batch, Matrix]]:
        """Each batch with its vectors (n, dim), in the order of the batches.

        `skipped` is not to be met here: models that leave prompts out are not exported.
        """
        coming = iter(batches)
        first = list(islice(coming, 2))
        if len(first) < 2:
            for batch in first:
                yield batch, self._run(self._in_all_threads, batch)
            return
        count, every = threads(), chain(first, coming)
        for wide, some in groupby(every, lambda batch: bool(batch.ids.shape[1] > WIDE)):
            if wide or count == 1:
                yield from ((batch, self._run(self._in_all_threads, batch)) for batch in some)
            else:
                yield from side_by_side(partial(self._run, self._in_one_thread), some, count)

    def _run(self, session: Any, batch: Batch) -> Matrix:
        given = dict(zip(INPUTS, (batch.ids, batch.mask), strict=True))
        vectors: Matrix = session.run([OUTPUT], given)[0]
        return vectors

    @cached_property
    def _in_one_thread(self) -> Any:
        return self._session(1)

    @cached_property
    def _in_all_threads(self) -> Any:
        return self._in_one_thread if threads() == 1 else self._session(threads())

    def _session(self, count: int) -> Any:
        """The opened graph, computing in `count` threads, that of the caller included.

        Raises:
            ModelNotAvailableError: it is gone from the cache, where nobody had opened it for long.
        """
        if not self._graph.is_file():
            raise ModelNotAvailableError(
                f"{self._graph} was removed from the cache while it was open. Open the model again."
            )
        options = self._engine.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = count, 1
        options.log_severity_level = QUIET
        # Threads wait busily for the next step of a run, but not for the next run: the search that
        # follows a query needs the cores.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        return self._engine.InferenceSession(
            str(self._graph), options, providers=["CPUExecutionProvider"]
        )


def quantize(graph: Path, into: Path) -> None:
    """Write the graph with the weights of its matrix products as bytes, a scale for each column.

    What they are multiplied with is scaled to bytes as it comes (dynamic quantization). A few
    products stay as they are, see `_delicate`.

    Raises:
        ModelNotAvailableError: onnx is not installed, or cannot be imported.
        InputError: why this graph cannot be written so, as a clause without a full stop.
        OSError: the disk is full, or cannot be written to.
    """
    onnx = check_exporting()
    from onnxruntime.quantization import QuantType, quantize_dynamic

    try:
        model = onnx.load(str(graph))
        # Says that there is nothing to prepare, about which it would warn through the root logger.
        onnx.helper.set_model_props(model, {"onnx.quant.pre_process": "onnxruntime.quant"})
        quantize_dynamic(
            model,
            into,
            per_channel=True,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["MatMul"],
            nodes_to_exclude=_delicate(model),
        )
    except OSError:
        raise
    except Exception as error:  # both libraries raise many kinds
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise InputError(f"onnxruntime cannot put it into bytes: {reason[:200]}") from None


def _delicate(model: Any) -> list[str]:
    """The products that lose most as bytes: where the first third of the layers narrow again.

    What goes into them (a layer four times as wide, after its activation) has a few very large
    numbers, and what is lost there goes through all layers above. In MiniLM, these two of 36
    products make a third of what the cosine to float32 loses (0.9954 with all as bytes, 0.9970).
    """
    shapes = {weight.name: tuple(weight.dims) for weight in model.graph.initializer}
    products = [node for node in model.graph.node if node.op_type == "MatMul"]
    weights = [(node.name, shapes.get(node.input[1], ())) for node in products]
    narrowing = [name for name, shape in weights if len(shape) == 2 and shape[0] > shape[1]]
    return narrowing[: math.ceil(len(narrowing) / 3)]


def check_exporting() -> Any:
    """The library onnx, once it is known that all is there to export a model.

    Raises:
        ModelNotAvailableError: onnx or onnxruntime is not installed, or cannot be imported.
    """
    _onnxruntime()
    try:
        import onnx
    except (ImportError, OSError) as error:
        raise _missing("onnx", error) from None
    return onnx


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except (ImportError, OSError) as error:
        raise _missing("onnxruntime", error) from None
    return onnxruntime


def _missing(package: str, error: Exception) -> ModelNotAvailableError:
    reason = next(iter(str(error).splitlines()), type(error).__name__)
    return ModelNotAvailableError(
        f"{package} cannot be imported: {reason[:200]}. "
        f"Run: pip install {package}; or choose runtime torch."
    )


def side_by_side(
    make: Callable[[Item], Made], items: Iterable[Item], count: int
) -> Iterator[tuple[Item, Made]]:
    """Each item with what is made of it, in their order, by `count` threads at once.

    An error of `make` is raised where its item's turn is. No thread is left behind, whether all is
    taken or the rest is given up.
    """
    waiting: deque[tuple[Item, Future[Made]]] = deque()
    pool = ThreadPoolExecutor(count, "onnx")
    try:
        for item in items:
            waiting.append((item, pool.submit(make, item)))
            if len(waiting) >= AHEAD * count:
                ready, future = waiting.popleft()
                yield ready, future.result()
        for ready, future in waiting:
            yield ready, future.result()
    finally:
        pool.shutdown(cancel_futures=True)
