"""FAISS passes the contract of an index engine."""

import pytest

from indexes.vectors.engines import FAISS
from tests.support.engine_contract import check_engine


@pytest.mark.parametrize("factory", ["HNSW32", "IVF4,Flat", "SQ8", "Flat"])
def test_faiss_is_an_index_engine(factory, tmp_path):
    check_engine(FAISS, {"factory": factory, "search": search_of(factory)}, tmp_path)


def search_of(factory):
    return {"nprobe": 4} if factory.startswith("IVF") else {}
