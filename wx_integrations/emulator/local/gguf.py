"""Writes and reads just enough GGUF: sentence embedders out of safetensors, and what a file says about itself.

Source: the GGUF specification of the ggml project, version 3, and the tensor
and key names of its BERT architecture. F32 tensors are copied byte for byte.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

_MAGIC = b"GGUF"
_VERSION = 3
_ALIGNMENT = 32
_U32, _F32, _BOOL, _STRING, _ARRAY, _I32 = 4, 6, 7, 8, 9, 5
_FORMATS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_BLOCK = 1 << 20

_BERT_TENSORS = (
    (r"embeddings\.word_embeddings\.weight", "token_embd.weight"),
    (r"embeddings\.position_embeddings\.weight", "position_embd.weight"),
    (r"embeddings\.token_type_embeddings\.weight", "token_types.weight"),
    (r"embeddings\.LayerNorm\.(weight|bias)", r"token_embd_norm.\1"),
    (r"encoder\.layer\.(\d+)\.attention\.self\.query\.(weight|bias)", r"blk.\1.attn_q.\2"),
    (r"encoder\.layer\.(\d+)\.attention\.self\.key\.(weight|bias)", r"blk.\1.attn_k.\2"),
    (r"encoder\.layer\.(\d+)\.attention\.self\.value\.(weight|bias)", r"blk.\1.attn_v.\2"),
    (r"encoder\.layer\.(\d+)\.attention\.output\.dense\.(weight|bias)", r"blk.\1.attn_output.\2"),
    (r"encoder\.layer\.(\d+)\.attention\.output\.LayerNorm\.(weight|bias)", r"blk.\1.attn_output_norm.\2"),
    (r"encoder\.layer\.(\d+)\.intermediate\.dense\.(weight|bias)", r"blk.\1.ffn_up.\2"),
    (r"encoder\.layer\.(\d+)\.output\.dense\.(weight|bias)", r"blk.\1.ffn_down.\2"),
    (r"encoder\.layer\.(\d+)\.output\.LayerNorm\.(weight|bias)", r"blk.\1.layer_output_norm.\2"),
)
_UNUSED = re.compile(r"embeddings\.position_ids|pooler\..*")


@dataclass(frozen=True)
class _Tensor:
    name: str
    shape: tuple[int, ...]
    start: int
    size: int


def convert_sentence_bert(safetensors: Path, vocabulary: Path, target: Path, name: str, heads: int = 12) -> None:
    """Write a BERT sentence embedder (mean pooling) as GGUF with F32 tensors.

    Raises:
        ValueError: the weights are not what the architecture needs.
    """
    with safetensors.open("rb") as source, target.open("wb") as file:
        tensors, data_start = _read_safetensors(source)
        words = vocabulary.read_text(encoding="utf-8").split("\n")
        words = words[:-1] if words[-1] == "" else words
        shapes = {tensor.name: tensor.shape for tensor in tensors}
        vocabulary_size, width = shapes["token_embd.weight"]
        if vocabulary_size != len(words):
            raise ValueError(f"{len(words)} words but {vocabulary_size} rows of embeddings")
        layers = 1 + max(int(found[1]) for found in (re.match(r"blk\.(\d+)", key) for key in shapes) if found)
        sizes = {
            "block_count": layers,
            "context_length": shapes["position_embd.weight"][0],
            "embedding_length": width,
            "feed_forward_length": shapes["blk.0.ffn_up.weight"][0],
            "attention.head_count": heads,
        }
        _write_header(file, tensors, _bert_metadata(name, sizes, words))
        _copy_tensors(source, data_start, file, tensors)


def _bert_metadata(name: str, sizes: dict[str, int], words: Sequence[str]) -> list[bytes]:
    special = {word: words.index(word) for word in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")}
    control, normal = 3, 1
    tokens = [word if word in special else word[2:] if word.startswith("##") else "\u2581" + word for word in words]
    kinds = [control if word in special else normal for word in words]
    return [
        _pair("general.architecture", _STRING, _string("bert")),
        _pair("general.name", _STRING, _string(name)),
        _pair("general.file_type", _U32, struct.pack("<I", 0)),
        *(_pair(f"bert.{key}", _U32, struct.pack("<I", value)) for key, value in sizes.items()),
        _pair("bert.attention.layer_norm_epsilon", _F32, struct.pack("<f", 1e-12)),
        _pair("bert.attention.causal", _BOOL, struct.pack("<?", False)),
        _pair("bert.pooling_type", _U32, struct.pack("<I", 1)),
        _pair("tokenizer.ggml.model", _STRING, _string("bert")),
        _pair("tokenizer.ggml.token_type_count", _U32, struct.pack("<I", 2)),
        _pair("tokenizer.ggml.tokens", _ARRAY, _array(_STRING, [_string(token) for token in tokens])),
        _pair("tokenizer.ggml.token_type", _ARRAY, _array(_I32, [struct.pack("<i", kind) for kind in kinds])),
        _pair("tokenizer.ggml.unknown_token_id", _U32, struct.pack("<I", special["[UNK]"])),
        _pair("tokenizer.ggml.seperator_token_id", _U32, struct.pack("<I", special["[SEP]"])),  # spelt so in the spec
        _pair("tokenizer.ggml.padding_token_id", _U32, struct.pack("<I", special["[PAD]"])),
        _pair("tokenizer.ggml.cls_token_id", _U32, struct.pack("<I", special["[CLS]"])),
        _pair("tokenizer.ggml.bos_token_id", _U32, struct.pack("<I", special["[CLS]"])),
        _pair("tokenizer.ggml.mask_token_id", _U32, struct.pack("<I", special["[MASK]"])),
    ]


def _read_safetensors(source: BinaryIO) -> tuple[list[_Tensor], int]:
    (length,) = struct.unpack("<Q", source.read(8))
    entries: dict[str, Any] = json.loads(source.read(length))
    entries.pop("__metadata__", None)
    tensors = []
    for key, entry in sorted(entries.items(), key=lambda item: item[1]["data_offsets"]):
        if _UNUSED.fullmatch(key):
            continue
        if entry["dtype"] != "F32":
            raise ValueError(f"tensor {key} is {entry['dtype']}, not F32")
        start, end = entry["data_offsets"]
        tensors.append(_Tensor(_bert_name(key), tuple(entry["shape"]), start, end - start))
    return tensors, 8 + length


def _bert_name(key: str) -> str:
    for pattern, name in _BERT_TENSORS:
        if found := re.fullmatch(pattern, key):
            return found.expand(name)
    raise ValueError(f"tensor {key} does not belong to a BERT")


def _write_header(file: BinaryIO, tensors: Sequence[_Tensor], metadata: Sequence[bytes]) -> None:
    file.write(_MAGIC + struct.pack("<IQQ", _VERSION, len(tensors), len(metadata)))
    file.write(b"".join(metadata))
    offset = 0
    for tensor in tensors:
        dimensions = tuple(reversed(tensor.shape))  # the fastest varying first
        file.write(_string(tensor.name) + struct.pack(f"<I{len(dimensions)}Q", len(dimensions), *dimensions))
        file.write(struct.pack("<IQ", 0, offset))  # 0 is F32
        offset += _aligned(tensor.size)
    file.write(bytes(_aligned(file.tell()) - file.tell()))


def _copy_tensors(source: BinaryIO, data_start: int, file: BinaryIO, tensors: Sequence[_Tensor]) -> None:
    for tensor in tensors:
        source.seek(data_start + tensor.start)
        left = tensor.size
        while left:
            block = source.read(min(left, _BLOCK))
            if not block:
                raise ValueError(f"the data of {tensor.name} is cut off")
            file.write(block)
            left -= len(block)
        file.write(bytes(_aligned(tensor.size) - tensor.size))


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _array(kind: int, items: Sequence[bytes]) -> bytes:
    return struct.pack("<IQ", kind, len(items)) + b"".join(items)


def _pair(key: str, kind: int, value: bytes) -> bytes:
    return _string(key) + struct.pack("<I", kind) + value


def read_metadata(path: Path) -> dict[str, Any]:
    """Return the key-value pairs of a GGUF file; arrays as their length only.

    Raises:
        ValueError: the file is not GGUF of version 2 or 3.
    """
    with path.open("rb") as file:
        if file.read(4) != _MAGIC:
            raise ValueError(f"{path.name} is not a GGUF file")
        try:
            version, _, pairs = struct.unpack("<IQQ", file.read(20))
            if version not in (2, 3):
                raise ValueError(f"{path.name} is GGUF version {version}; 2 and 3 are understood")
            return dict(_read_pair(file) for _ in range(pairs))
        except (struct.error, KeyError, UnicodeDecodeError, OverflowError) as error:
            raise ValueError(f"{path.name} is damaged: its header cannot be read") from error


def _read_pair(file: BinaryIO) -> tuple[str, Any]:
    key = _read_value(file, _STRING)
    (kind,) = struct.unpack("<I", file.read(4))
    return key, _read_value(file, kind)


def _read_value(file: BinaryIO, kind: int) -> Any:
    if kind == _STRING:
        (length,) = struct.unpack("<Q", file.read(8))
        data = file.read(length)
        if len(data) != length:
            raise struct.error("text cut off")
        return data.decode()
    if kind == _ARRAY:
        inner, count = struct.unpack("<IQ", file.read(12))
        for _ in range(count):
            _read_value(file, inner)
        return count
    form = _FORMATS[kind]
    return struct.unpack(form, file.read(struct.calcsize(form)))[0]
