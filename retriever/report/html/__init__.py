"""One self-contained HTML page: tables, plots, and every query with its hits.

The page loads nothing. Its script and style are allowed by their checksums, and texts are inserted
as text, so that a document can neither run nor load anything. Plots are SVG, drawn here instead of
by matplotlib so that they follow the page's theme and width.
"""
