"""Milvus behind the protocol of a server of vectors; imports pymilvus, the extra `milvus`."""
