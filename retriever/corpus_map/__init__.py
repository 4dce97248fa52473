"""A corpus as points of a plane: its documents' vectors in two dimensions."""
