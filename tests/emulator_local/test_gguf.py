"""Writing and reading GGUF; the real engine says whether it is right."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from tests.emulator_local.tiny_models import bert_shapes, write_safetensors, write_tiny_bert, write_tiny_llama
from wx_integrations.emulator.local.gguf import convert_sentence_bert, read_metadata

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a"]


def test_what_was_written_can_be_read(tmp_path: Path) -> None:
    facts = read_metadata(write_tiny_bert(tmp_path))
    assert facts["general.architecture"] == "bert"
    assert facts["general.name"] == "tiny-bert"
    assert facts["bert.block_count"] == 1
    assert facts["bert.context_length"] == 512
    assert facts["bert.embedding_length"] == 32
    assert facts["bert.feed_forward_length"] == 64
    assert facts["bert.attention.causal"] is False
    assert facts["bert.pooling_type"] == 1
    assert facts["tokenizer.ggml.tokens"] == 5 + 52 + 2
    assert facts["tokenizer.ggml.cls_token_id"] == 2


def test_writing_is_repeatable(tmp_path: Path) -> None:
    first = write_tiny_bert(tmp_path).read_bytes()
    assert write_tiny_bert(tmp_path).read_bytes() == first


def test_tensors_are_aligned_copies(tmp_path: Path) -> None:
    data = write_tiny_bert(tmp_path).read_bytes()
    source = (tmp_path / "model.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", source[:8])
    embeddings = source[8 + length :][: 59 * 32 * 4]
    assert data.count(embeddings) == 1
    assert data.index(embeddings) % 32 == 0
    assert len(data) % 32 == 0


def convert(tmp_path: Path, shapes: dict[str, tuple[int, ...]], dtype: str = "F32") -> None:
    write_safetensors(tmp_path / "weights", shapes, dtype)
    (tmp_path / "vocabulary").write_text("\n".join(WORDS))
    convert_sentence_bert(tmp_path / "weights", tmp_path / "vocabulary", tmp_path / "out", "x", heads=2)


def test_a_foreign_tensor_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="decoder"):
        convert(tmp_path, {**bert_shapes(len(WORDS)), "decoder.weight": (2, 2)})


def test_another_number_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="F16"):
        convert(tmp_path, bert_shapes(len(WORDS)), "F16")


def test_a_vocabulary_of_another_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="6 words but 9 rows"):
        convert(tmp_path, bert_shapes(9))


def test_cut_off_weights_are_refused(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "weights", bert_shapes(len(WORDS)))
    data = (tmp_path / "weights").read_bytes()
    (tmp_path / "weights").write_bytes(data[:-100])
    (tmp_path / "vocabulary").write_text("\n".join(WORDS))
    with pytest.raises(ValueError, match="cut off"):
        convert_sentence_bert(tmp_path / "weights", tmp_path / "vocabulary", tmp_path / "out", "x", heads=2)


def test_a_language_models_header_is_read(tmp_path: Path) -> None:
    facts = read_metadata(write_tiny_llama(tmp_path, context=77))
    assert facts["llama.context_length"] == 77
    assert facts["tokenizer.chat_template"].startswith("{% for")
    assert facts["tokenizer.ggml.add_bos_token"] is False


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not a GGUF file"),
        (b"PK\x03\x04 and more", "not a GGUF file"),
        (b"GGUF", "damaged"),
        (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "version 1"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 99) + b"short", "damaged"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1) + b"k" + struct.pack("<I", 99), "damaged"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**63), "damaged"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, data: bytes, why: str) -> None:
    (tmp_path / "x.gguf").write_bytes(data)
    with pytest.raises(ValueError, match=why):
        read_metadata(tmp_path / "x.gguf")
