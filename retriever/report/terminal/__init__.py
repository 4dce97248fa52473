"""Tables and lists for a terminal, drawn by rich."""
