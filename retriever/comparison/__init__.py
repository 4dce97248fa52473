"""`compare`: identical queries through several systems, judged, timed and costed.

compare       run every system on all queries, as one batch; for vector indexes the exact run too:
              what the index lost, and what the model
latency       one query at a time, systems taking turns: p50, p95, p99 of each stage
cost          seconds, bytes and peak memory of building, from the catalog
comparison    the result: terminal, JSON, CSV, pandas, HTML
"""
