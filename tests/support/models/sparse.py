"""Tiny sparse models made from their configurations."""

from tests.support.models.families import families, wordpiece


def splade(folder, *, seed=5):
    """Write a tiny SPLADE with random weights, as sentence-transformers saves it."""
    import torch
    import transformers
    from sentence_transformers import SparseEncoder

    tokenizer, sizes = wordpiece(), families()["bert"][2]
    raw = folder.with_name(f"{folder.name}-raw")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = transformers.BertForMaskedLM(
            transformers.BertConfig(vocab_size=len(tokenizer), **sizes)
        )
    network.save_pretrained(raw)
    tokenizer.save_pretrained(raw)
    SparseEncoder(str(raw), device="cpu").save(str(folder), create_model_card=False)
    return folder


def inference_free(folder, place):
    """Write a model of which the documents' part is another's; queries have static weights."""
    import torch
    from sentence_transformers import SparseEncoder
    from sentence_transformers.base.modules import Router
    from sentence_transformers.sparse_encoder.modules import SparseStaticEmbedding

    model = SparseEncoder(str(folder), device="cpu", local_files_only=True)
    weights = torch.arange(len(model.tokenizer.get_vocab())) / 8 + 0.5
    static = SparseStaticEmbedding(model.tokenizer, weights)
    router = Router.for_query_document([static], list(model))
    made = SparseEncoder(modules=[router], device="cpu", similarity_fn_name="dot")
    made.save(str(place), create_model_card=False)
    return place
