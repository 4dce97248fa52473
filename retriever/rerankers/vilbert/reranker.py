"""A ViLBERT checkpoint as a reranker of documents with images."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from indexes.errors import InputError, first_of, pluralize
from indexes.text.normalize import normalize
from retriever.embedders.base import EmbedderSpec, fingerprint_of
from retriever.embedders.contextual.fingerprint import weights_checksum
from retriever.embedders.devices import best_device
from retriever.embedders.validation import check_count
from retriever.rerankers.base import Candidate, Scores
from retriever.rerankers.vilbert.checkpoint import read_checkpoint
from retriever.rerankers.vilbert.features import MOST_REGIONS, Floats, read_regions
from retriever.rerankers.vilbert.network import VilbertInput, VilbertNet
from retriever.rerankers.vilbert.tokenizer import VilbertTokenizer

# Caption-based image retrieval on Flickr30k, in the authors' list of tasks.
RETRIEVAL_TASK = 8
BATCH_SIZE = 16
# Documents in a message.
NAMED = 3


class VilbertReranker:
    """Rank documents with images by how well a query describes them, with ViLBERT.

    `model` is a folder with a checkpoint and its vocabulary; see `checkpoint` and `tokenizer`.
    `regions` is a file with features of the regions of the images, by the ids of documents; see
    `features`. Documents without regions cannot be read. The text of documents is not read.

    `task` is the task token of checkpoints that have them. `batch_size` is the number of images
    computed at once, 16 by default, `device` a torch device, by default the best one.

    Attributes: `width` is that of the features.

    Raises:
        ModelNotAvailableError: the model cannot be loaded.
        InputError: an invalid option, or a file of regions that cannot be used.
    """

    option_help: ClassVar[dict[str, str]] = {
        "regions": "File with features of the regions of the images: .npz, .parquet, .safetensors.",
        "task": "Task token, of checkpoints that have them.",
        "batch_size": f"Images computed at once; none: {BATCH_SIZE}.",
        "device": "Torch device, such as cpu or cuda:0; none: the best one.",
    }

    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        regions: str | None = None,
        task: int = RETRIEVAL_TASK,
        batch_size: int | None = None,
        device: str | None = None,
    ) -> None:
        check_count("batch_size", batch_size)
        folder = Path(model).expanduser().absolute()
        checkpoint = read_checkpoint(folder)
        if checkpoint.tasks and not 0 <= task < checkpoint.tasks:
            raise InputError(f"task is {task}; expected a number from 0 to {checkpoint.tasks - 1}.")
        if regions is None:
            raise InputError(
                "ViLBERT reads features of image regions: give -o regions FILE (options="
                "{'regions': FILE}), an .npz, Parquet or safetensors as docs/rerankers.md shows."
            )
        self.name, self.width = folder.name, checkpoint.config.v_feature_size
        self._tokenizer = VilbertTokenizer(folder, checkpoint.config.vocab_size)
        file = Path(regions).expanduser().absolute()
        self._regions = read_regions(file, self.width)
        self.readable = self._regions.rows.keys()
        self._batch_size = batch_size or BATCH_SIZE
        self._net = VilbertNet(checkpoint, best_device(device), task)
        self._parts = {
            "kind": "vilbert",
            "config": repr(checkpoint.config),
            "head": checkpoint.head,
            "task": task if checkpoint.tasks else None,
            "weights": weights_checksum(checkpoint.tensors),
            "vocabulary": self._tokenizer.checksum,
            "text": "normalized",
        }
        options = {"regions": str(file), "batch_size": batch_size, "device": device}
        options["task"] = task if task != RETRIEVAL_TASK else None
        given = {name: value for name, value in options.items() if value is not None}
        self.spec = EmbedderSpec("vilbert", str(folder), given)

    @cached_property
    def fingerprint(self) -> str:
        """One line of JSON over the model, its vocabulary and the file of regions."""
        return fingerprint_of(**self._parts, regions=self._regions.checksum)

    @property
    def notes(self) -> Sequence[str]:
        """A note if images have more regions than are read."""
        most = int(np.diff(self._regions.starts).max())
        if most < MOST_REGIONS:
            return ()
        return (f"{self.name} reads the first {MOST_REGIONS - 1} regions of an image, of {most}.",)

    def lacking(self, doc_ids: Sequence[str]) -> str:
        """Return a note that documents have no regions."""
        what = f"no regions in {self._regions.path.name} and"
        forms = f"candidate has {what} is", f"candidates have {what} are"
        return (
            f"{pluralize(len(doc_ids), *forms)} left out: "
            f"{first_of(doc_ids, NAMED)}. Write a file that has them, drop the index and "
            "build it again."
        )

    def work(self, count: int) -> str:
        """Return how many images of how many regions are read for a query."""
        return f"{pluralize(count, 'image')} of {self._regions.mean_count():,.0f} regions"

    def scores(self, query: str, documents: Sequence[Candidate]) -> Scores:
        """Return how well the query describes the images (n,); -inf without regions."""
        import torch

        found = np.full(len(documents), -np.inf, np.float32)
        places = [at for at, one in enumerate(documents) if one.doc_id in self.readable]
        tokens = torch.tensor([self._tokenizer.tokens(normalize(query))])
        for some, arrays in self._batches(documents, places):
            tensors = tokens, torch.ones_like(tokens), *map(torch.from_numpy, arrays)
            read = self._net.read(VilbertInput(*(of.to(self._net.device) for of in tensors)))
            found[some] = read.score.cpu().numpy()
        return found

    def _batches(
        self, documents: Sequence[Candidate], places: Sequence[int]
    ) -> Iterator[tuple[list[int], tuple[Floats, Floats, NDArray[Any]]]]:
        """Yield places with features, boxes and masks, images of similar size together."""
        regions = {at: self._regions.of(documents[at].doc_id) for at in places}
        order = sorted(places, key=lambda at: -len(regions[at][0]))
        for start in range(0, len(order), self._batch_size):
            some = order[start : start + self._batch_size]
            shape = len(some), len(regions[some[0]][0])
            features = np.zeros((*shape, self.width), np.float32)
            boxes, mask = np.zeros((*shape, 5), np.float32), np.zeros(shape, np.int64)
            for row, at in enumerate(some):
                count = len(regions[at][0])
                features[row, :count], boxes[row, :count] = regions[at]
                mask[row, :count] = 1
            yield some, (features, boxes, mask)
