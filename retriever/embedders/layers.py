"""Hidden layers of a transformer: parsed from options, and resolved against a model."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from indexes.errors import InputError

ONE, SEVERAL = re.compile(r"-?\d+"), re.compile(r"(-?\d+)\.\.(-?\d+)")
# More than any transformer has: a longer range is a typo.
MOST = 1000


def parse_layers(layer: str | int) -> tuple[int, ...]:
    """Parse one or several layers from a number or text; negative layers stay negative.

    0 is the input of the first layer, -1 the last layer. Several layers, to be averaged, are
    separated by commas, or given as a range with both ends: `-4,-3,-2,-1` and `-4..-1` are equal.

    Raises:
        InputError: it is neither.
    """
    try:
        if isinstance(layer, bool):
            raise ValueError
        return tuple(
            number for part in str(layer).split(",") for number in _parse_part(part.strip())
        )
    except ValueError:
        raise InputError(
            f"layer is {layer!r}; expected one layer, such as -2 (0 is the input of the first, -1 "
            "the last), or several to be averaged: -4,-3,-2,-1 or -4..-1."
        ) from None


def _parse_part(part: str) -> Iterator[int]:
    """Yield the layers of one part between commas; raise ValueError if it is invalid."""
    if ONE.fullmatch(part):
        yield int(part)
        return
    ends = SEVERAL.fullmatch(part)
    if not ends:
        raise ValueError
    first, last = int(ends[1]), int(ends[2])
    # Both ends must count from the same side: the length of 3..-2 depends on the model.
    if first > last or (first < 0) != (last < 0) or last - first > MOST:
        raise ValueError
    yield from range(first, last + 1)


def resolve_layers(layers: Sequence[int], count: int, name: str) -> tuple[int, ...]:
    """Return the layers as sorted numbers from 0 to `count`, for a model with `count` layers.

    Raises:
        InputError: the model called `name` has no such layer, or one is given twice.
    """
    for layer in layers:
        is_integer = isinstance(layer, int) and not isinstance(layer, bool)
        if not is_integer or not -count <= layer + 1 <= count + 1:
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


def resolve_layer(layer: int, count: int, name: str) -> int:
    """Return one layer as a number from 0 to `count`.

    Raises:
        InputError: the model called `name` has no such layer.
    """
    return resolve_layers((layer,), count, name)[0]
