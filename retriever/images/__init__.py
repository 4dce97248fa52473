"""Images checked and decoded: the only place that imports Pillow."""
