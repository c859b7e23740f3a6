"""Retrieval-augmented answers: load, split, embed, index, retrieve, rerank, answer with sources."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_text_splitters import MarkdownHeaderTextSplitter, RecursiveCharacterTextSplitter

from wx_integrations.core.errors import ConfigurationError
from wx_integrations.langchain import WatsonxRerank

SUFFIXES = (".md", ".txt", ".rst")
DOCUMENTS = Path(__file__).parent / "documents"
LICENCE = DOCUMENTS / "LICENCE.txt"
CHUNK_LENGTH = 240
BATCH = 16

INSTRUCTIONS = (
    "You answer questions about documents. You rely on the numbered passages and never on anything else. "
    "You answer in one full sentence and cite the passage like [1]. "
    "When no passage states the answer you reply exactly: I don't know."
)


@dataclass(frozen=True)
class Folder:
    """The documents of a folder.

    Attributes:
        skipped: files left out because they are not text.
        shipped: whether it is the folder that comes with the package.
    """

    documents: list[Document]
    skipped: list[Path]
    shipped: bool = False


def load(folder: Path | None = None) -> Folder:
    """Read every text file of a folder and the folders in it, or of the shipped one.

    Hidden files and folders, and empty files, do not count.

    Raises:
        ConfigurationError: no such folder, or nothing to read in it.
    """
    root = DOCUMENTS if folder is None else folder
    if not root.is_dir():
        what = "is not a folder" if root.exists() else "does not exist"
        raise ConfigurationError(f"--docs: {root} {what}", field="docs")
    documents: list[Document] = []
    skipped: list[Path] = []
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root)
        if not path.is_file() or path == LICENCE or any(part.startswith(".") for part in name.parts):
            continue
        text = _text_of(path)
        if text is None:
            skipped.append(path)
        elif text.strip():
            documents.append(Document(text, metadata={"source": name.as_posix()}))
    if not documents:
        what = f"; {len(skipped)} other files are in it" if skipped else ""
        hint = f"Put {', '.join(SUFFIXES)} files there, in UTF-8"
        raise ConfigurationError(f"--docs: {root} holds no text{what}", hint=hint, field="docs")
    return Folder(documents, skipped, shipped=folder is None)


def _text_of(path: Path) -> str | None:
    """Return a file's text; None when it is none."""
    if path.suffix.lower() not in SUFFIXES:
        return None
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def split(documents: Sequence[Document]) -> list[Document]:
    """Cut documents into short passages along headings and sentences; each begins with its headings."""
    sections = MarkdownHeaderTextSplitter([("#", "title"), ("##", "section"), ("###", "subsection")])
    splitter = RecursiveCharacterTextSplitter(
        chunk_size=CHUNK_LENGTH, chunk_overlap=0, separators=["\n\n", "\n", ". ", " ", ""], keep_separator="end"
    )
    passages = []
    for document in documents:
        for section in sections.split_text(document.page_content):
            headings = " - ".join(str(heading) for heading in section.metadata.values())
            for text in splitter.split_text(section.page_content):
                whole = f"{headings}: {text.strip()}" if headings else text.strip()
                passages.append(Document(whole, metadata=dict(document.metadata)))
    return passages


def index(
    passages: Sequence[Document], embeddings: Embeddings, on_progress: Callable[[int], None] = lambda done: None
) -> InMemoryVectorStore:
    """Embed passages into an index in memory, telling after each batch how many are done."""
    store = InMemoryVectorStore(embeddings)
    for start in range(0, len(passages), BATCH):
        batch = list(passages[start : start + BATCH])
        store.add_documents(batch)
        on_progress(start + len(batch))
    return store


@dataclass(frozen=True)
class Rag:
    """A question answered over an index."""

    store: InMemoryVectorStore
    reranker: WatsonxRerank
    chat: BaseChatModel
    retrieved: int = 5
    kept: int = 3

    def passages_for(self, question: str) -> list[Document]:
        """Return the passages that answer best, best first."""
        found = self.store.similarity_search(question, k=self.retrieved)
        return list(self.reranker.compress_documents(found, question))[: self.kept]

    def answer(self, question: str, passages: Sequence[Document]) -> Iterator[str]:
        """Yield the answer as it is written."""
        numbered = "\n\n".join(f"[{number}] {passage.page_content}" for number, passage in enumerate(passages, 1))
        messages = [SystemMessage(INSTRUCTIONS), HumanMessage(f"{numbered}\n\nQuestion: {question}")]
        for chunk in self.chat.stream(messages):
            yield str(chunk.text)


def cited(answer: str, passages: Sequence[Document]) -> list[int]:
    """Return the numbers of the passages that an answer cites, in the order cited."""
    numbers = (int(number) for group in re.findall(r"\[([\d,\s]+)\]", answer) for number in re.findall(r"\d+", group))
    return list(dict.fromkeys(number for number in numbers if 1 <= number <= len(passages)))
