"""Which hidden layers of a transformer make its vectors: as a user writes them, and as they are."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from indexes.errors import InputError

ONE, SEVERAL = re.compile(r"-?\d+"), re.compile(r"(-?\d+)\.\.(-?\d+)")
# No transformer has so many: a range over more is a slip.
MOST = 1000


def parsed_layers(layer: str | int) -> tuple[int, ...]:
    """The layers that a number or a text names, as they stand there.

    One layer is a number: 0 is what goes into the first layer, -1 the last. Several, to be
    averaged, stand with commas between them, or as the first and the last with two points between:
    `-4,-3,-2,-1` and `-4..-1` are the same.

    Raises:
        InputError: it is neither.
    """
    try:
        if isinstance(layer, bool):
            raise ValueError
        return tuple(number for part in str(layer).split(",") for number in _named(part.strip()))
    except ValueError:
        raise InputError(
            f"layer is {layer!r}; expected one layer, such as -2 (0 is what goes into the first "
            "one, -1 the last), or several to be averaged: -4,-3,-2,-1 or -4..-1."
        ) from None


def _named(part: str) -> Iterator[int]:
    """The layers of one part between commas.

    Raises:
        ValueError: it names none.
    """
    if ONE.fullmatch(part):
        yield int(part)
        return
    ends = SEVERAL.fullmatch(part)
    if not ends:
        raise ValueError
    first, last = int(ends[1]), int(ends[2])
    # Both ends count from the same side: how far it is from 3 to -2 depends on the model.
    if first > last or (first < 0) != (last < 0) or last - first > MOST:
        raise ValueError
    yield from range(first, last + 1)


def resolved_layers(layers: Sequence[int], count: int, name: str) -> tuple[int, ...]:
    """The layers from 0 to `count`, in their order, of a model that has `count`.

    Raises:
        InputError: the model has no such layer, or one is named twice; it is called `name`.
    """
    for layer in layers:
        whole = isinstance(layer, int) and not isinstance(layer, bool)
        if not whole or not -count <= layer + 1 <= count + 1:
            raise InputError(
                f"layer is {layer!r}; {name} has {count}: expected 0 to {count}, "
                f"or -1 for the last to -{count + 1}."
            )
    found = sorted(layer % (count + 1) for layer in layers)
    if len(set(found)) < len(found):
        raise InputError(
            f"layer names a layer twice: {','.join(map(str, layers))}, of {count}. Name each once."
        )
    return tuple(found)


def resolved_layer(layer: int, count: int, name: str) -> int:
    """One layer from 0 to `count` of a model that has `count`.

    Raises:
        InputError: the model, which is called `name`, has no such layer.
    """
    return resolved_layers((layer,), count, name)[0]
