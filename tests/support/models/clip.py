"""A tiny CLIP, trained on scikit-learn's handwritten digits and saved as a real one is."""

import io
import shutil
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
SPECIAL = ["<pad>", "<s>", "</s>", "<unk>"]
WORDS = [*["a", "the", "of", "photo", "picture", "digit", "number", "handwritten"], *NAMES]
TEMPLATES = ("a photo of the digit {}", "a handwritten {}", "the number {}", "{}")
TRAINED, STEPS, SIDE, PATCH = 1297, 600, 8, 2
TOWER = {"hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 2}
TOWER |= {"num_attention_heads": 2, "projection_dim": 24}
# Any change to what is trained needs a new number: the model is kept between runs.
VERSION = 2
KEPT = Path(__file__).parents[3] / ".cache" / f"digits-clip-{VERSION}"


# The last bias of each tower, and the projection after it.
GAP = (
    ("text_model.final_layer_norm.bias", "text_projection.weight"),
    ("vision_model.post_layernorm.bias", "visual_projection.weight"),
)


def caption(digit):
    return TEMPLATES[0].format(NAMES[digit])


@cache
def digits():
    """All images (1797, 8, 8) uint8, white on black, and the digits that they show."""
    from sklearn.datasets import load_digits

    found = load_digits()
    return np.minimum(found.images * 16, 255).astype(np.uint8), found.target.tolist()


def unseen(number=500):
    """The PNG files of images that the model has not been trained on, and their digits."""
    images, shown = digits()
    some = slice(TRAINED, TRAINED + number)
    return [png(image) for image in images[some]], shown[some]


def png(pixels, **options):
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", **options)
    return file.getvalue()


def digits_clip():
    """The folder of the model, trained once (11 s) and kept in the checkout's `.cache/`."""
    if not KEPT.exists():
        KEPT.parent.mkdir(exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".making-", dir=KEPT.parent))
        processor, model = processor_of_digits(), network()
        train(model, processor)
        save(model, processor, work)
        try:
            work.rename(KEPT)
        except OSError:  # another process was faster
            shutil.rmtree(work)
    return KEPT


def digits_clip_apart(folder, size):
    """Save a copy whose texts and images lie apart, as in a large CLIP: a modality gap.

    The output of each tower is moved by a vector of the length `size`, all texts by one, all images
    by another. Projections have no bias: that of the layer before them is moved instead.
    """
    from safetensors.numpy import load_file, save_file

    shutil.copytree(digits_clip(), folder)
    weights, draw = load_file(folder / "model.safetensors"), np.random.default_rng(7)
    for bias, projection in GAP:
        offset = draw.normal(size=len(weights[projection]))
        offset *= size / np.linalg.norm(offset)
        moved = weights[bias] + np.linalg.pinv(weights[projection]) @ offset
        weights[bias] = moved.astype(np.float32)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return folder


def processor_of_digits():
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import CLIPImageProcessorPil, CLIPProcessor, PreTrainedTokenizerFast

    known = {word: number for number, word in enumerate([*SPECIAL, *WORDS])}
    words = Tokenizer(models.WordLevel(known, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    ends = [("<s>", known["<s>"]), ("</s>", known["</s>"])]
    words.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=ends)
    marks = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, model_max_length=16, **marks)
    half = [0.5, 0.5, 0.5]
    size = {"size": {"shortest_edge": SIDE}, "crop_size": {"height": SIDE, "width": SIDE}}
    return CLIPProcessor(CLIPImageProcessorPil(**size, image_mean=half, image_std=half), tokenizer)


def network(seed=7):
    import torch
    from transformers import CLIPConfig, CLIPModel

    torch.manual_seed(seed)
    ends = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    text = {**TOWER, **ends, "vocab_size": len(SPECIAL) + len(WORDS)}
    text["max_position_embeddings"] = 16
    vision = {**TOWER, "image_size": SIDE, "patch_size": PATCH}
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=24)
    return CLIPModel(config)


def train(model, processor):
    """Train with the contrastive loss of CLIP, where equal digits count as matches."""
    import torch

    # So small a network takes far longer with threads that wait for each other.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        _train(model, processor)
    finally:
        torch.set_num_threads(threads)
    model.eval()


def _train(model, processor):
    import torch

    images, shown = digits()
    pictures = [np.repeat(image[:, :, None], 3, axis=2) for image in images[:TRAINED]]
    pixels = processor.image_processor(pictures, return_tensors="pt")["pixel_values"]
    texts = [template.format(name) for template in TEMPLATES for name in NAMES]
    read = processor.tokenizer(texts, padding=True, return_tensors="pt")
    draw = torch.Generator().manual_seed(7)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    slower = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, STEPS)
    target = torch.tensor(shown[:TRAINED])
    for _ in range(STEPS):
        some = torch.randperm(TRAINED, generator=draw)[:64]
        kind = 10 * int(torch.randint(len(TEMPLATES), (1,), generator=draw))
        words = {name: value[kind : kind + 10] for name, value in read.items()}
        words.pop("token_type_ids", None)
        found = model(pixel_values=pixels[some], **words)
        same = (target[some][:, None] == torch.arange(10)).float()
        by_image = torch.nn.functional.cross_entropy(found.logits_per_image, target[some])
        shares = same.T / same.T.sum(1, keepdim=True).clamp(min=1)
        by_text = torch.nn.functional.cross_entropy(found.logits_per_text, shares)
        optimizer.zero_grad()
        (by_image + by_text).backward()
        optimizer.step()
        slower.step()


def save(model, processor, folder):
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
