"""Sentence models in onnxruntime: parallel batches, images and int8 quantization."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import chain, groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from indexes.errors import InputError
from indexes.threads import SHORT_TOKENS, sharing
from retriever.embedders.base import Matrix
from retriever.embedders.contextual.batching import Batch
from retriever.embedders.contextual.images.pixels import Pixels
from retriever.embedders.contextual.onnx_engine.export import (
    IMAGE_GRAPH,
    INPUTS,
    OUTPUT,
    PIXELS,
)
from retriever.embedders.contextual.onnx_engine.sessions import Sessions, importing
from retriever.embedders.validation import first_line

if TYPE_CHECKING:
    from retriever.images.decode import Picture

Item = TypeVar("Item")
Made = TypeVar("Made")

# Two texts of 256 tokens: fits a core's cache, and holds enough short texts.
BUDGET = 512
# Images of 50 patches: 4 to 8 took the least time each, and 16 a sixth more (ViT-B/32).
IMAGES = 8
# Longer texts do not run in parallel: one of 8,192 tokens takes 3 GB with 12 heads.
WIDE = 1024
# Batches read ahead per thread: no thread waits, and few are held.
AHEAD = 2


class OnnxModel:
    """Runs an exported graph (see `export.py`) on the CPU, and the one for images if there is one.

    `settings` are those of a processor of images, see `Pixels`. The graph for images is beside
    that for texts.

    Batches run in parallel with one thread each: without synchronization, this is a fifth faster
    than one batch in all threads. A single batch gets all threads, unless it is short, and so does
    a batch of long texts, whose memory grows with the square of their length.

    An `int8` graph scales its activations by the range of the entire batch, so a vector would
    depend on the other texts. There, each text or image is a separate batch.

    Raises:
        ModelNotAvailableError: onnxruntime is not installed, or its import fails.
    """

    runtime = "onnx"

    def __init__(
        self, graph: Path, precision: str, settings: Mapping[str, Any] | None = None
    ) -> None:
        self._graph, self.precision = graph, precision
        alone = precision == "int8"
        self.budget, self.images_at_once = (1, 1) if alone else (BUDGET, IMAGES)
        self._texts, self._images = Sessions(graph), Sessions(graph.with_name(IMAGE_GRAPH))
        self._pixels = Pixels(settings or {})

    def embed_all(
        self, batches: Iterable[Batch], skipped: int = 0
    ) -> Iterator[tuple[Batch, Matrix]]:
        """Yield each batch with its vectors (n, dim), in the order of the batches.

        `skipped` is ignored: models that leave prompts out of pooling are not exported.
        """
        coming = iter(batches)
        first = list(islice(coming, 2))
        if len(first) < 2:
            for batch in first:
                short = batch.ids.size <= SHORT_TOKENS
                session = self._texts.single_threaded if short else self._texts.multi_threaded
                yield batch, self._run(session, batch)
            return
        with sharing() as count:
            for wide, some in groupby(chain(first, coming), _is_wide):
                if wide or count == 1:
                    yield from (
                        (batch, self._run(self._texts.multi_threaded, batch)) for batch in some
                    )
                else:
                    yield from map_parallel(
                        partial(self._run, self._texts.single_threaded), some, count
                    )

    def _run(self, session: Any, batch: Batch) -> Matrix:
        # A network that was trained without a mask has none as input.
        names = [each.name for each in session.get_inputs()]
        given = dict(zip(INPUTS, (batch.ids, batch.mask), strict=True))
        vectors: Matrix = session.run([OUTPUT], {name: given[name] for name in names})[0]
        return vectors

    def embed_images(self, pictures: Iterable[Picture], *, alone: bool) -> Matrix:
        """Return the vectors (n, dim) of images; see `Engine`."""
        session = self._images.single_threaded if alone else self._images.multi_threaded
        vectors: Matrix = session.run([OUTPUT], {PIXELS: self._pixels.of(pictures)})[0]
        return vectors


def _is_wide(batch: Batch) -> bool:
    return bool(batch.ids.shape[1] > WIDE)


def quantize(graph: Path, into: Path) -> None:
    """Write the graph with int8 weights in its matrix products, one scale per column.

    Activations are quantized at run time (dynamic quantization). A few products stay in float32,
    see `_sensitive_products`.

    Raises:
        ModelNotAvailableError: onnx is not installed, or its import fails.
        InputError: why this graph cannot be quantized, as a clause without a full stop.
        OSError: the disk is full or not writable.
    """
    onnx = check_exporting()
    from onnxruntime.quantization import QuantType, quantize_dynamic

    try:
        model = onnx.load(str(graph))
        # Marks the graph as preprocessed; otherwise it warns through the root logger.
        onnx.helper.set_model_props(model, {"onnx.quant.pre_process": "onnxruntime.quant"})
        options = {"per_channel": True, "weight_type": QuantType.QInt8}
        options["nodes_to_exclude"] = _sensitive_products(model)
        quantize_dynamic(model, into, op_types_to_quantize=["MatMul"], **options)
    except OSError:
        raise
    except Exception as error:  # both libraries raise many kinds
        raise InputError(f"onnxruntime cannot quantize it: {first_line(error)}") from None


def _sensitive_products(model: Any) -> list[str]:
    """Return the products that lose most in int8: down projections of the first third of layers.

    Their inputs (four times as wide, after the activation) have a few very large values, and the
    error passes through all layers above. In MiniLM, these two of 36 products cause a third of the
    loss in cosine to float32 (0.9954 with all in int8, 0.9970).
    """
    shapes = {weight.name: tuple(weight.dims) for weight in model.graph.initializer}
    products = [node for node in model.graph.node if node.op_type == "MatMul"]
    weights = [(node.name, shapes.get(node.input[1], ())) for node in products]
    narrowing = [name for name, shape in weights if len(shape) == 2 and shape[0] > shape[1]]
    return narrowing[: math.ceil(len(narrowing) / 3)]


def check_exporting() -> Any:
    """Import onnx, and check that everything needed for an export is installed.

    Raises:
        ModelNotAvailableError: onnx or onnxruntime is not installed, or its import fails.
    """
    with importing("onnxruntime"):
        import onnxruntime  # noqa: F401
    with importing("onnx"):
        import onnx
    return onnx


def map_parallel(
    make: Callable[[Item], Made], items: Iterable[Item], count: int
) -> Iterator[tuple[Item, Made]]:
    """Yield each item with the result of `make`, in order, computed by `count` threads.

    An error of `make` is raised at its item's turn. No thread is left running, whether or not the
    iterator is exhausted.
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
