"""How the vectors of a sentence model are compared: as it declares, or as chosen.

This module only reads the model's own objects, so that it does not import torch.
"""

from __future__ import annotations

from typing import Any

from indexes.neighbors import COSINE, EUCLIDEAN
from retriever.embedders.contextual.overrides import width_of

# sentence-transformers also has this one, which is no matrix product.
MANHATTAN = "manhattan"


def similarity_of_model(model: Any, chosen: str | None) -> str:
    """Return how vectors are compared, one of `SIMILARITIES`: as chosen, or as the model declares.

    Inner product and distance rank unit vectors as the cosine does, so these are compared by it.
    Manhattan distance is replaced by the Euclidean one.
    """
    wanted = chosen or str(model.similarity_fn_name)
    if wanted == COSINE or _gives_unit_vectors(model):
        return COSINE
    return EUCLIDEAN if wanted == MANHATTAN else wanted


def similarity_notes(model: Any, chosen: str | None) -> tuple[str, ...]:
    """Return the note on a model that is compared in another way than it was trained for."""
    declared, used = str(model.similarity_fn_name), similarity_of_model(model, chosen)
    if declared != MANHATTAN and used == similarity_of_model(model, None):
        return ()
    why = "it was chosen" if chosen else "no index computes the other"
    return (
        f"The model declares the similarity '{declared}', but its vectors are compared by "
        f"'{used}', since {why}: hits can be in another order than the model was trained for.",
    )


def _gives_unit_vectors(model: Any) -> bool:
    """Return whether the model scales its vectors to length 1, and keeps all of each."""
    width = width_of(model)
    return _ends_in_normalize(list(model)[-1]) and (model.truncate_dim or width) >= width


def _ends_in_normalize(part: Any) -> bool:
    routes = getattr(part, "sub_modules", None)
    if routes is None:
        return type(part).__name__ == "Normalize"
    return all(_ends_in_normalize(list(route)[-1]) for route in routes.values())
