"""Transformer sentence embeddings, computed by torch or onnxruntime.

    texts -> tokens (in Rust, ahead) -> batches of one length -> engine -> pooled -> length 1
             tokenizer                  batching                 torch or onnxruntime

What decides how a model reads texts, and which vectors it gives, is its `ModelInfo`: read by
sentence-transformers from its folder, or kept next to an exported graph. With the second, a query
is answered without importing torch. A model that takes more than tokens and a mask goes through its
own code.

onnxruntime computes many small batches side by side, each in one thread; a single query gets all
threads. int8 scales over everything that is computed at once, so there each text is a batch: a
text's vector never depends on its neighbors. `runtime="auto"` tries the configurations on a few
texts, once per model and machine, and reports what it chose.
"""
