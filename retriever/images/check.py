"""Whether an image can be decoded, found out when its document is added."""

from __future__ import annotations

import importlib.util
import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from indexes.errors import InputError
from indexes.images import Image

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

# Width times height: above this, Pillow takes a file for one made to exhaust the memory.
MOST_PIXELS = 178_956_970


class _Silence:
    """A context without warnings that threads may enter together.

    The filters of warnings are the process's: restored by the thread that leaves first, they would
    stay changed.
    """

    def __init__(self) -> None:
        self._lock, self._inside = threading.Lock(), 0
        self._filters = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._filters = warnings.catch_warnings()
                self._filters.__enter__()
                warnings.simplefilter("ignore")
            self._inside += 1

    def __exit__(self, *exception: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._filters.__exit__(None, None, None)


_SILENCE = _Silence()


NO_PILLOW = (
    "Images need Pillow, which is not installed. Run: pip install 'retriever-compare[images]'"
)


def has_pillow() -> bool:
    """Return whether Pillow is installed."""
    return importlib.util.find_spec("PIL") is not None


def require_pillow() -> None:
    """Raise an InputError if Pillow is not installed."""
    if not has_pillow():
        raise InputError(NO_PILLOW)


def check_image(image: Image) -> None:
    """Decode the first frame of an image, to see that it is complete.

    Raises:
        InputError: it is missing, empty, truncated, too large, no image, or has changed.
    """
    with opened(image) as picture:
        # A JPEG is read to its end all the same, at an eighth of its size.
        picture.draft(None, (1, 1))
        picture.load()


@contextmanager
def opened(image: Image) -> Iterator[Picture]:
    """Yield an image as one of Pillow's, not decoded yet; errors as in `check_image`."""
    require_pillow()
    import PIL.Image

    data, name = image.read(), image.source
    if not data:
        raise InputError(f"{name}: the image is empty (0 bytes).")
    try:
        # Large images and odd metadata are valid.
        with _SILENCE, PIL.Image.open(io.BytesIO(data)) as picture:
            width, height = picture.size
            if width * height > MOST_PIXELS:
                raise PIL.Image.DecompressionBombError
            yield picture
    except PIL.UnidentifiedImageError:
        raise InputError(f"{name}: not an image of a known format, or damaged.") from None
    except PIL.Image.DecompressionBombError:
        raise InputError(
            f"{name}: the image has more than {MOST_PIXELS:,} pixels. Make it smaller."
        ) from None
    except InputError:
        raise
    except Exception as error:  # Pillow's readers raise anything
        reason = str(error) or type(error).__name__
        raise InputError(f"{name}: the image cannot be decoded ({reason}).") from None
