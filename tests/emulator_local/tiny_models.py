"""Models of a few kilobytes with random weights: the real engine runs them, nothing is downloaded."""

from __future__ import annotations

import json
import random
import struct
from pathlib import Path

from wx_integrations.emulator.local import gguf

WIDTH, HEADS, CONTEXT = 32, 2, 4096
TEMPLATE = (
    "{% for message in messages %}<{{ message.role }}>{{ message.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def write_tiny_bert(folder: Path) -> Path:
    """Write a sentence embedder that knows the letters and a few words, by way of safetensors."""
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    words = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *letters,
        *(f"##{letter}" for letter in letters),
        "the",
        "cat",
    ]
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(words) + "\n", encoding="utf-8")
    safetensors = folder / "model.safetensors"
    write_safetensors(safetensors, bert_shapes(len(words)))
    target = folder / "tiny-bert.gguf"
    gguf.convert_sentence_bert(safetensors, vocabulary, target, "tiny-bert", heads=HEADS)
    return target


def bert_shapes(vocabulary: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (vocabulary, WIDTH),
        "embeddings.position_embeddings.weight": (512, WIDTH),
        "embeddings.token_type_embeddings.weight": (2, WIDTH),
        "embeddings.LayerNorm.weight": (WIDTH,),
        "embeddings.LayerNorm.bias": (WIDTH,),
        "pooler.dense.weight": (WIDTH, WIDTH),
    }
    layer = "encoder.layer.0."
    for name, inner, outer in (
        ("attention.self.query", WIDTH, WIDTH),
        ("attention.self.key", WIDTH, WIDTH),
        ("attention.self.value", WIDTH, WIDTH),
        ("attention.output.dense", WIDTH, WIDTH),
        ("intermediate.dense", WIDTH, 2 * WIDTH),
        ("output.dense", 2 * WIDTH, WIDTH),
    ):
        shapes |= {f"{layer}{name}.weight": (outer, inner), f"{layer}{name}.bias": (outer,)}
    for name in ("attention.output.LayerNorm", "output.LayerNorm"):
        shapes |= {f"{layer}{name}.weight": (WIDTH,), f"{layer}{name}.bias": (WIDTH,)}
    return shapes


def write_safetensors(path: Path, shapes: dict[str, tuple[int, ...]], dtype: str = "F32") -> None:
    """Write random tensors, with ones as the weights of norms."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    blobs, place = [], 0
    for name, shape in shapes.items():
        data = _floats(shape, ones=name.endswith("LayerNorm.weight"))
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [place, place + len(data)]}
        blobs.append(data)
        place += len(data)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def _floats(shape: tuple[int, ...], *, ones: bool = False) -> bytes:
    count = 1
    for size in shape:
        count *= size
    dice = random.Random(f"{shape}")
    return struct.pack(f"<{count}f", *((1.0 if ones else dice.gauss(0, 0.3)) for _ in range(count)))


def write_tiny_llama(folder: Path, context: int = CONTEXT, name: str = "Tiny Llama") -> Path:
    """Write a language model that writes bytes at random: one layer, one token per byte."""
    control, plain = 3, 1
    tokens = [*_byte_letters(), "ye", "yes", "<|end|>"]
    kinds = [*[plain] * (len(tokens) - 1), control]
    end = struct.pack("<I", len(tokens) - 1)
    tensors = _llama_tensors(len(tokens))
    listed, place = [], 0
    for key, shape in tensors.items():
        listed.append(gguf._Tensor(key, shape, place, len(_floats(shape))))
        place += len(_floats(shape))
    number = {
        "context_length": context,
        "embedding_length": WIDTH,
        "block_count": 1,
        "feed_forward_length": 2 * WIDTH,
        "attention.head_count": HEADS,
        "attention.head_count_kv": HEADS,
        "rope.dimension_count": WIDTH // HEADS,
    }
    metadata = [
        gguf._pair("general.architecture", gguf._STRING, gguf._string("llama")),
        gguf._pair("general.name", gguf._STRING, gguf._string(name)),
        *(gguf._pair(f"llama.{key}", gguf._U32, struct.pack("<I", value)) for key, value in number.items()),
        gguf._pair("llama.attention.layer_norm_rms_epsilon", gguf._F32, struct.pack("<f", 1e-5)),
        gguf._pair("tokenizer.ggml.model", gguf._STRING, gguf._string("gpt2")),
        gguf._pair("tokenizer.ggml.pre", gguf._STRING, gguf._string("gpt-2")),
        gguf._pair("tokenizer.ggml.tokens", gguf._ARRAY, gguf._array(gguf._STRING, list(map(gguf._string, tokens)))),
        gguf._pair(
            "tokenizer.ggml.merges", gguf._ARRAY, gguf._array(gguf._STRING, list(map(gguf._string, ["y e", "ye s"])))
        ),
        gguf._pair(
            "tokenizer.ggml.token_type",
            gguf._ARRAY,
            gguf._array(gguf._I32, [struct.pack("<i", kind) for kind in kinds]),
        ),
        *(gguf._pair(f"tokenizer.ggml.{key}_token_id", gguf._U32, end) for key in ("bos", "eos")),
        gguf._pair("tokenizer.ggml.add_bos_token", gguf._BOOL, b"\0"),
        gguf._pair("tokenizer.chat_template", gguf._STRING, gguf._string(TEMPLATE)),
    ]
    path = folder / "tiny-llama.gguf"
    with path.open("wb") as file:
        gguf._write_header(file, listed, metadata)
        for key, shape in tensors.items():
            data = _floats(shape, ones=key.endswith("norm.weight"))
            file.write(data + bytes(gguf._aligned(len(data)) - len(data)))
    return path


def _byte_letters() -> list[str]:
    """Return the letters that stand for the 256 bytes in byte-level BPE: printable ones for themselves."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = iter(range(0x100, 0x200))
    return [chr(byte if byte in printable else next(others)) for byte in range(256)]


def _llama_tensors(vocabulary: int) -> dict[str, tuple[int, ...]]:
    return {
        "token_embd.weight": (vocabulary, WIDTH),
        "output_norm.weight": (WIDTH,),
        "output.weight": (vocabulary, WIDTH),
        "blk.0.attn_norm.weight": (WIDTH,),
        "blk.0.attn_q.weight": (WIDTH, WIDTH),
        "blk.0.attn_k.weight": (WIDTH, WIDTH),
        "blk.0.attn_v.weight": (WIDTH, WIDTH),
        "blk.0.attn_output.weight": (WIDTH, WIDTH),
        "blk.0.ffn_norm.weight": (WIDTH,),
        "blk.0.ffn_gate.weight": (2 * WIDTH, WIDTH),
        "blk.0.ffn_up.weight": (2 * WIDTH, WIDTH),
        "blk.0.ffn_down.weight": (WIDTH, 2 * WIDTH),
    }
