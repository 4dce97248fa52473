"""An HTTP service over collections: search, documents, comparison of a query, embeddings, metrics.

Imported only by `retriever serve` and by whoever makes an application with `app.create_app`: it
needs the extra `serve` (FastAPI, uvicorn, prometheus-client).
"""
