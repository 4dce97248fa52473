"""Exports for papers: tables in LaTeX and Markdown, and plots that stand alone."""
