"""Images that are opened in several threads."""

import contextlib
import warnings
from concurrent.futures import ThreadPoolExecutor

from indexes.images import Image
from retriever.images.check import opened
from tests.support.models.pictures import picture


def test_threads_that_open_images_leave_warnings_as_they_were():
    """The first that comes is the first that leaves."""
    image, before = Image.of(picture()), list(warnings.filters)
    with ThreadPoolExecutor(1) as first, ThreadPoolExecutor(1) as second:
        one, other = contextlib.ExitStack(), contextlib.ExitStack()
        first.submit(one.enter_context, opened(image)).result()
        second.submit(other.enter_context, opened(image)).result()
        first.submit(one.close).result()
        second.submit(other.close).result()
    assert warnings.filters == before
