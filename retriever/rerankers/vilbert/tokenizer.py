"""The tokenizer of a ViLBERT checkpoint: BERT's word pieces, in lower case."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from indexes.errors import InputError, ModelNotAvailableError
from retriever.embedders.contextual.tokenizer import ModelTokenizer
from retriever.embedders.validation import first_line

# With [CLS] and [SEP]; the authors' data sets for retrieval are read so.
MOST_TOKENS = 30
FILE, VOCABULARY = "tokenizer.json", "vocab.txt"
CLS, SEP, UNKNOWN = "[CLS]", "[SEP]", "[UNK]"


class VilbertTokenizer:
    """Reads texts as at most 30 tokens, [CLS] and [SEP] included.

    `checksum` is the SHA-256 of the file that it was read from.

    Raises:
        ModelNotAvailableError: the folder has neither `tokenizer.json` nor `vocab.txt`, or it
            cannot be read.
        InputError: it has other tokens than a model of `size` words.
    """

    def __init__(self, folder: Path, size: int) -> None:
        path = next(
            (folder / name for name in (FILE, VOCABULARY) if (folder / name).is_file()), None
        )
        if path is None:
            raise ModelNotAvailableError(
                f"{folder} has no vocabulary: put the {VOCABULARY} (or {FILE}) of the BERT that "
                "the checkpoint was made from beside it, usually that of bert-base-uncased."
            )
        data = path.read_bytes()
        self.checksum = hashlib.sha256(data).hexdigest()
        try:
            text = data.decode("utf-8")
            self._tokenizer = ModelTokenizer(
                text if path.name == FILE else _as_json(text), MOST_TOKENS, literal=True
            )
            marks = self.tokens("")
        except Exception as error:  # tokenizers raises bare Exception
            raise ModelNotAvailableError(
                f"{path} is not a vocabulary of BERT ({first_line(error)})."
            ) from None
        count = self._tokenizer.highest() + 1
        if len(marks) != 2 or count > size:
            raise InputError(
                f"{path} has {count:,} tokens, the model {size:,}: expected the "
                "vocabulary of this checkpoint."
            )

    def tokens(self, text: str) -> list[int]:
        """Return the tokens of a text."""
        return self._tokenizer.read([text]).tokens[0]


def _as_json(vocabulary: str) -> str:
    """Return the `tokenizer.json` of a `vocab.txt`, one token a line, as of bert-base-uncased."""
    numbers = {line.strip(): number for number, line in enumerate(vocabulary.splitlines())}
    plain = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    special = [
        {"id": numbers[name], "content": name, "special": True, **plain}
        for name in (CLS, SEP, UNKNOWN)
    ]
    marks = {name: {"id": name, "ids": [numbers[name]], "tokens": [name]} for name in (CLS, SEP)}
    first, last = ({"SpecialToken": {"id": name, "type_id": 0}} for name in (CLS, SEP))
    single = [first, {"Sequence": {"id": "A", "type_id": 0}}, last]
    pair = [*single, {"Sequence": {"id": "B", "type_id": 1}}, last]
    normalizer = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True}
    model = {"type": "WordPiece", "unk_token": UNKNOWN, "continuing_subword_prefix": "##"}
    template = {"type": "TemplateProcessing", "single": single, "pair": pair}
    return json.dumps(
        {
            "version": "1.0",
            "added_tokens": special,
            "normalizer": {**normalizer, "strip_accents": None, "lowercase": True},
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "post_processor": {**template, "special_tokens": marks},
            "model": {**model, "max_input_chars_per_word": 100, "vocab": numbers},
        }
    )
