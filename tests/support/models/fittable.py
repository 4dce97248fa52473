"""Small embedders that are fitted on a corpus or distilled from another embedder."""

import json
from collections import Counter
from itertools import islice

import numpy as np

from indexes.errors import DamageError
from retriever.embedders.base import fingerprint_of, unit
from tests.support.toy import Axes


class Rare(Axes):
    """Each of its words is an axis with weight 1 / (1 + the number of texts that contain it).

    `option` represents any option of a real embedder: it is part of the fingerprint.
    """

    def __init__(self, name="rare", words=("north", "east", "up"), option="", weights=None, **rest):
        super().__init__(name, words=words, **rest)
        self.option, self.weights = option, weights
        self.fits = []
        self.fingerprint = fingerprint_of(
            kind="rare", words=self.words, option=option, fitted=weights
        )

    @property
    def needs_fit(self):
        return self.weights is None

    @property
    def parameters(self):
        return None if self.weights is None else json.dumps([self.option, self.weights]).encode()

    def fitted(self, texts):
        return self.fitted_in_parts(texts, lambda lists: map(self.part_of_fit, lists))

    def part_of_fit(self, texts):
        return Counter(word for text in texts for word in set(text.split()))

    def fitted_in_parts(self, texts, parts):
        waiting = iter(texts)
        counts = sum(parts(iter(lambda: list(islice(waiting, 2)), [])), Counter())
        return self._with([1 / (1 + counts[word]) for word in self.words])

    def with_parameters(self, parameters):
        option, weights = json.loads(parameters)
        if option != self.option:
            raise DamageError("These are the parameters of another embedder.")
        return self._with(weights)

    def _with(self, weights):
        made = Rare(self.name, self.words, self.option, weights, fail_after=self.fail_after)
        made.seen = self.seen  # shared, so that a test sees what was embedded
        return made

    def encode_queries(self, texts):
        rows = [[text.split().count(word) for word in self.words] for text in texts]
        weighed = np.array(rows, np.float64).reshape(len(texts), self.dim) * self.weights
        return unit(weighed.astype(np.float32))


class Pupil(Axes):
    """Encodes queries for the vectors of a teacher, with `sunrise` as a synonym of east."""

    def __init__(self, teacher, name="pupil", lesson=1):
        super().__init__(name, words=teacher.words)
        self.teacher = teacher.fingerprint
        self.fingerprint = fingerprint_of(kind="pupil", teacher=self.teacher, lesson=lesson)

    def encode_queries(self, texts):
        return super().encode_queries([text.replace("sunrise", "east") for text in texts])
