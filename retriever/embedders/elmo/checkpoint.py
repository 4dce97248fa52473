"""ELMo checkpoints: options (JSON) and weights (HDF5), read and validated.

The layout is that of the authors' code, https://github.com/allenai/bilm-tf (`bilm/model.py`).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.errors import FileFormatError, InputError, ModelNotAvailableError
from retriever.embedders.validation import check_not_pointer, first_line

# Bytes 0 to 255, and begin and end of sentence, begin and end of word, padding.
CHARACTERS = 261
ACTIVATIONS = ("relu", "tanh")
DIRECTIONS = 2
LARGEST = 1 << 20

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class ElmoOptions:
    """Sizes of the parts of an ELMo.

    `filters` are pairs (width in characters, count). A word is `word_length` character ids, each
    embedded in `characters` dimensions. The filters are followed by `highways` highway layers, a
    projection to `projection` dimensions, and `layers` LSTM layers of `cells` cells per direction.
    A clip is the maximum absolute value, None for no clipping. `skip`: from the second layer on, a
    layer's input is added to its output.
    """

    filters: tuple[tuple[int, int], ...]
    characters: int
    word_length: int
    activation: str
    highways: int
    layers: int
    cells: int
    projection: int
    cell_clip: float | None
    projection_clip: float | None
    skip: bool

    @property
    def filtered(self) -> int:
        """Total number of filters."""
        return sum(number for _, number in self.filters)


@dataclass(frozen=True)
class ElmoWeights:
    """Float32 arrays by their names in the file, and a SHA-256 over all of them."""

    arrays: Mapping[str, Floats]
    checksum: str


def find_files(folder: Path) -> tuple[Path, Path]:
    """Return the paths of options and weights in a folder.

    These are `options.json` and `lm_weights.hdf5`, or else the only file with a name ending in
    `options.json` and the only one ending in `weights.hdf5`.

    Raises:
        ModelNotAvailableError: the folder does not exist, or is a file.
        FileFormatError: one of the files is missing, or several match.
    """
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise ModelNotAvailableError(
            f"No ELMo in {folder}: it {what}. Give the folder that holds options.json and "
            "lm_weights.hdf5."
        )
    options = _find(folder, "options.json", "options.json")
    return options, _find(folder, "lm_weights.hdf5", "weights.hdf5")


def _find(folder: Path, name: str, ending: str) -> Path:
    if (folder / name).is_file():
        return folder / name
    found = sorted(path for path in folder.iterdir() if path.name.endswith(ending))
    if len(found) != 1:
        several = ": " + ", ".join(path.name for path in found) if found else ""
        raise FileFormatError(
            f"{folder} has {len(found)} files *{ending}{several}; expected one, or {name}."
        )
    return found[0]


def read_elmo(folder: Path) -> tuple[ElmoOptions, ElmoWeights]:
    """Read the options and weights of the ELMo in a folder.

    Raises:
        ModelNotAvailableError: the folder does not exist, or h5py is not installed.
        FileFormatError: a file is missing or damaged, or an array is missing, does not have the
            shape that the options require, or has non-finite values.
    """
    options_path, weights_path = find_files(folder)
    for path in (options_path, weights_path):
        check_not_pointer(path)
    options = _read_options(options_path)
    return options, _read_weights(weights_path, options)


def _read_options(path: Path) -> ElmoOptions:
    try:
        read = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise FileFormatError(f"{path} is not valid JSON ({error}).") from None
    try:
        return parse_options(read)
    except InputError as error:
        raise FileFormatError(f"{path}: {error}") from None


def parse_options(read: Any) -> ElmoOptions:
    """Validate the content of `options.json`."""
    convolution, lstm = _section(read, "char_cnn"), _section(read, "lstm")
    known = _integer(convolution, "char_cnn.n_characters", CHARACTERS + 1)
    # After training, the authors count one more: a mask, which has no row.
    if known not in (CHARACTERS, CHARACTERS + 1):
        raise InputError(f"'char_cnn.n_characters' is {known}; expected {CHARACTERS + 1}.")
    length = _integer(convolution, "char_cnn.max_characters_per_token")
    if length < 3:
        raise InputError(f"'char_cnn.max_characters_per_token' is {length}; expected 3 or more.")
    activation = convolution.get("activation")
    if activation not in ACTIVATIONS:
        expected = " or ".join(ACTIVATIONS)
        raise InputError(f"'char_cnn.activation' is {activation!r}; expected {expected}.")
    return ElmoOptions(
        filters=_filters(convolution.get("filters"), length),
        characters=_integer(_section(convolution, "embedding"), "embedding.dim"),
        word_length=length,
        activation=activation,
        highways=_integer(convolution, "char_cnn.n_highway", 0, least=0),
        layers=_integer(lstm, "lstm.n_layers"),
        cells=_integer(lstm, "lstm.dim"),
        projection=_integer(lstm, "lstm.projection_dim"),
        cell_clip=_clip(lstm, "lstm.cell_clip"),
        projection_clip=_clip(lstm, "lstm.proj_clip"),
        skip=_flag(lstm, "lstm.use_skip_connections"),
    )


def _section(read: Any, name: str) -> dict[str, Any]:
    part = read.get(name) if isinstance(read, dict) else None
    if not isinstance(part, dict):
        raise InputError(f"'{name}' is missing; expected the options of an ELMo over characters.")
    return part


def _integer(part: dict[str, Any], name: str, default: int | None = None, least: int = 1) -> int:
    value = part.get(name.rsplit(".", 1)[1])
    if value is None and default is not None:
        return default
    if type(value) is not int or not least <= value <= LARGEST:
        raise InputError(f"'{name}' is {value!r}; expected a whole number from {least} up.")
    return value


def _clip(part: dict[str, Any], name: str) -> float | None:
    value = part.get(name.rsplit(".", 1)[1])
    if value is not None and (type(value) not in (int, float) or not 0 < value < math.inf):
        raise InputError(f"'{name}' is {value!r}; expected a number above 0, or null.")
    return None if value is None else float(value)


def _flag(part: dict[str, Any], name: str) -> bool:
    value = part.get(name.rsplit(".", 1)[1], False)
    if not isinstance(value, bool):
        raise InputError(f"'{name}' is {value!r}; expected true or false.")
    return value


def _filters(read: Any, length: int) -> tuple[tuple[int, int], ...]:
    good = isinstance(read, list) and bool(read)
    for pair in read if good else []:
        good = good and isinstance(pair, list) and [type(n) for n in pair] == [int, int]
        good = good and 1 <= pair[0] <= length and 1 <= pair[1] <= LARGEST
    if not good:
        raise InputError(
            f"'char_cnn.filters' is {read!r}; expected pairs [width, number], each width from 1 to "
            f"{length}."
        )
    return tuple((width, number) for width, number in read)


def expected_shapes(options: ElmoOptions) -> dict[str, tuple[int, ...]]:
    """Return the names and shapes of the arrays that the options require.

    The columns of an LSTM's `W_0` are its four gates: input, new value, forget, output.
    """
    filtered, cells, projection = options.filtered, options.cells, options.projection
    shapes: dict[str, tuple[int, ...]] = {"char_embed": (CHARACTERS, options.characters)}
    for place, (width, number) in enumerate(options.filters):
        shapes[f"CNN/W_cnn_{place}"] = (1, width, options.characters, number)
        shapes[f"CNN/b_cnn_{place}"] = (number,)
    for place in range(options.highways):
        for gate in ("carry", "transform"):
            shapes[f"CNN_high_{place}/W_{gate}"] = (filtered, filtered)
            shapes[f"CNN_high_{place}/b_{gate}"] = (filtered,)
    shapes |= {"CNN_proj/W_proj": (filtered, projection), "CNN_proj/b_proj": (projection,)}
    for direction in range(DIRECTIONS):
        for layer in range(options.layers):
            cell = cell_name(direction, layer)
            shapes[f"{cell}/W_0"] = (2 * projection, 4 * cells)
            shapes[f"{cell}/B"] = (4 * cells,)
            shapes[f"{cell}/W_P_0"] = (cells, projection)
    return shapes


def cell_name(direction: int, layer: int) -> str:
    """Return the HDF5 group of one LSTM layer; direction 0 is forward, 1 backward."""
    return f"RNN_{direction}/RNN/MultiRNNCell/Cell{layer}/LSTMCell"


def _read_weights(path: Path, options: ElmoOptions) -> ElmoWeights:
    try:
        import h5py
    except ImportError:
        raise ModelNotAvailableError(
            "The weights of an ELMo are an HDF5 file, and h5py is not installed. "
            "Run: pip install 'retriever-compare[elmo]'"
        ) from None
    shapes, digest = expected_shapes(options), hashlib.sha256()
    arrays = {}
    try:
        with h5py.File(path, "r") as file:
            # Left out where the filters are as wide as the projection.
            if options.filtered == options.projection and "CNN_proj" not in file:
                shapes = {n: shape for n, shape in shapes.items() if "CNN_proj/" not in n}
            _check_no_more(path, file, options)
            for name, shape in sorted(shapes.items()):
                arrays[name] = _read_array(path, file, name, shape)
                digest.update(f"{name}\0{shape}\0".encode())
                digest.update(arrays[name].data)
    except (OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
        # h5py raises different errors for damage in different places.
        raise FileFormatError(f"{path} is not an intact HDF5 file ({first_line(error)}).") from None
    return ElmoWeights(arrays, digest.hexdigest())


def _check_no_more(path: Path, file: Any, options: ElmoOptions) -> None:
    """Check that the weights have no more parts than the options."""
    beyond = {
        f"CNN/W_cnn_{len(options.filters)}": f"{len(options.filters)} kinds of filters",
        f"CNN_high_{options.highways}": f"{options.highways} highway layers",
        cell_name(0, options.layers).removesuffix("/LSTMCell"): f"{options.layers} LSTM layers",
    }
    for name, stated in beyond.items():
        if name in file:
            raise FileFormatError(f"{path} has '{name}', but the options say {stated}.")


def _read_array(path: Path, file: Any, name: str, shape: tuple[int, ...]) -> Floats:
    found = file.get(name)
    if getattr(found, "shape", None) is None:
        raise FileFormatError(f"{path} has no array '{name}'; expected one of shape {shape}.")
    if found.shape != shape or found.dtype.kind != "f":
        raise FileFormatError(
            f"{path}: '{name}' is {found.dtype} of shape {found.shape}; expected floats of shape "
            f"{shape}."
        )
    with np.errstate(over="ignore"):
        array = np.ascontiguousarray(found[...], dtype="<f4")
    if not np.isfinite(array).all():
        raise FileFormatError(f"{path}: '{name}' has values that are not finite.")
    return array
