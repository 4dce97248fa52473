"""Tiny checkpoints of random weights, one for each family of transformers, saved as real ones."""

from functools import cache

TESTED = """
    bert bert-left distilbert electra albert roberta xlm-roberta mpnet modernbert
    gpt2 gpt2-left gpt-neox llama qwen2 t5 t5-encoder
"""
FAMILIES = TESTED.split()
PROSE = """
    a river runs past the old bank where people keep their money and boats lie on water slowly
    under heavy rain we read books about engines kittens taxes light deadlines contracts
"""
WORDS = PROSE.split()
# From one token to more than any model reads.
TEXTS = [
    "bank",
    "The river runs.",
    "People keep their money in the old bank, where boats lie!",
    " ".join(WORDS),
    "water",
    "naïve café 🙂 東京",
    " ".join(WORDS * 4),
]
NAMES = ("pad", "bos", "eos", "cls", "sep")
T5 = {"d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 3, "num_heads": 2}
T5["initializer_factor"] = 3.0
# The order of RoBERTa's: padding is token 1.
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
BOTH = "<s> $A </s>"
MARKS = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}


def wordpiece(side="right"):
    from transformers import BertTokenizer

    letters = "abcdefghijklmnopqrstuvwxyz.,!"
    pieces = [*letters, *(f"##{letter}" for letter in letters), *WORDS[:20]]
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *dict.fromkeys(pieces)]
    vocabulary = {name: number for number, name in enumerate(names)}
    return BertTokenizer(vocab=vocabulary, padding_side=side, model_max_length=40)


@cache
def byte_pairs():
    """The JSON of a tokenizer of bytes (BPE) that was trained on the texts."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    options = {"initial_alphabet": alphabet, "special_tokens": SPECIAL, "show_progress": False}
    tokenizer.train_from_iterator(TEXTS, trainers.BpeTrainer(vocab_size=330, **options))
    return tokenizer.to_str()


def unigram(marks="$A </s>", side="right"):
    """A Unigram tokenizer, which is not trained because training is not deterministic."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = dict.fromkeys(WORDS)
    likely = {f"▁{word}": -4.0 for word in words} | {word[-3:]: -6.0 for word in words}
    letters = dict.fromkeys("▁abcdefghijklmnopqrstuvwxyzTPB.,!", -8.0)
    pieces = dict.fromkeys(SPECIAL, 0.0) | letters | likely
    tokenizer = Tokenizer(models.Unigram(list(pieces.items()), unk_id=SPECIAL.index("<unk>")))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    return fast(tokenizer, marks, "<pad>", side)


def bpe(marks="", pad=None, side="right"):
    """Byte-level BPE; `marks` is a template such as `<s> $A </s>`, `pad` the token for gaps."""
    from tokenizers import Tokenizer

    return fast(Tokenizer.from_str(byte_pairs()), marks, pad, side)


def fast(tokenizer, marks, pad, side):
    """Wrap a tokenizer for transformers; `marks` is the template of its special tokens."""
    from tokenizers import processors
    from transformers import PreTrainedTokenizerFast

    if marks:
        ids = [(name, tokenizer.token_to_id(name)) for name in ("<s>", "</s>")]
        tokenizer.post_processor = processors.TemplateProcessing(single=marks, special_tokens=ids)
    options = {"pad_token": pad, "padding_side": side, **MARKS}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **options)


def families():
    """For each family: model class, config class, sizes and tokenizer of its checkpoint."""
    import transformers as t

    places = {"max_position_embeddings": 40, "initializer_range": 0.4}
    short = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, **places}
    short["intermediate_size"] = 24
    rotary = {**short, "num_key_value_heads": 1}
    narrow = {**short, "embedding_size": 8}
    modern = {**short, "global_attn_every_n_layers": 2, "local_attention": 8}
    distilbert = {"dim": 16, "n_layers": 3, "n_heads": 2, "hidden_dim": 24, **places}
    gpt2 = {"n_embd": 16, "n_layer": 3, "n_head": 2, "n_positions": 40, "initializer_range": 0.4}
    return {
        "bert": (t.BertModel, t.BertConfig, short, wordpiece()),
        "bert-left": (t.BertModel, t.BertConfig, short, wordpiece("left")),
        "distilbert": (t.DistilBertModel, t.DistilBertConfig, distilbert, wordpiece()),
        "electra": (t.ElectraModel, t.ElectraConfig, narrow, wordpiece()),
        "albert": (t.AlbertModel, t.AlbertConfig, narrow, unigram(BOTH)),
        # Positions of these count from the pad token's number.
        "roberta": (t.RobertaModel, t.RobertaConfig, short, bpe(BOTH, "<pad>")),
        "xlm-roberta": (t.XLMRobertaModel, t.XLMRobertaConfig, short, unigram(BOTH)),
        "mpnet": (t.MPNetModel, t.MPNetConfig, short, unigram(BOTH, "left")),
        "modernbert": (t.ModernBertModel, t.ModernBertConfig, modern, bpe(BOTH, "<pad>")),
        # Decoders: without a pad token, with one on either side, with special tokens at either end.
        "gpt2": (t.GPT2LMHeadModel, t.GPT2Config, gpt2, bpe()),
        "gpt2-left": (t.GPT2Model, t.GPT2Config, gpt2, bpe(pad="<pad>", side="left")),
        "gpt-neox": (t.GPTNeoXForCausalLM, t.GPTNeoXConfig, short, bpe(marks="$A </s>")),
        "llama": (t.LlamaForCausalLM, t.LlamaConfig, rotary, bpe(marks="<s> $A", side="left")),
        "qwen2": (t.Qwen2ForCausalLM, t.Qwen2Config, rotary, bpe("$A </s>", "<pad>", "left")),
        "t5": (t.T5ForConditionalGeneration, t.T5Config, T5, unigram()),
        "t5-encoder": (t.T5EncoderModel, t.T5Config, T5, unigram(side="left")),
    }


def save(name, folder):
    """Save a raw checkpoint of a family, as real ones are saved."""
    import torch

    model, config, sizes, tokenizer = families()[name]
    torch.manual_seed(7)
    marks = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in NAMES}
    known = {name: number for name, number in marks.items() if number is not None}
    model(config(vocab_size=len(tokenizer), **sizes, **known)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def tiny_bert(folder, vocabulary, seed=0, **sizes):
    """Save a raw BERT of random weights over this vocabulary."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizer

    folder.mkdir(parents=True)
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    torch.manual_seed(seed)
    config = BertConfig(vocab_size=len(vocabulary), num_attention_heads=2, **sizes)
    BertModel(config).save_pretrained(folder)
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


def sentence_model(folder, parts, **more):
    """Save a sentence model of these modules."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(modules=parts, device="cpu", **more)
    model.save(str(folder), create_model_card=False)
    return folder
