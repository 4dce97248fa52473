"""Pictures of pages are taken, and show them."""

import pytest

from docs.screenshots import BROWSER, HEIGHT, PAGES, WIDTH, take


@pytest.mark.skipif(not BROWSER, reason="chromium is not installed")
@pytest.mark.parametrize("page", PAGES)
def test_a_picture_shows_the_page(page, tmp_path):
    pillow = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    with pillow.open(take(page, tmp_path)) as picture:
        assert picture.size == (WIDTH, HEIGHT)
        # Not one color, as a page that did not load would be.
        assert len(picture.convert("L").getcolors(256)) > 50
