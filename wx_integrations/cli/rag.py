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
CHUNK_LENGTH = 240
BATCH = 16

INSTRUCTIONS = (
    "You answer questions about documents. You rely on the numbered passages and never on anything else. "
    "You answer in one full sentence and cite the passage like [1]. "
    "When no passage states the answer you reply exactly: I don't know."
)


@dataclass(frozen=True)
class Folder:
    """The documents of a folder, and the files left out because they are not text."""

    documents: list[Document]
    skipped: list[Path]


def load(folder: Path) -> Folder:
    """Read every text file of a folder.

    Raises:
        ConfigurationError: no such folder, nothing to read in it, or a file that is not UTF-8.
    """
    if not folder.is_dir():
        raise ConfigurationError(f"docs: {folder} is not a folder", field="docs")
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    documents, skipped = [], []
    for path in files:
        if path.suffix.lower() not in SUFFIXES or path.name == "LICENCE.txt":
            skipped.append(path)
            continue
        try:
            text = path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError:
            raise ConfigurationError(f"docs: {path} is not UTF-8 text", field="docs") from None
        if text.strip():
            documents.append(Document(text, metadata={"source": path.relative_to(folder).as_posix()}))
    if not documents:
        raise ConfigurationError(
            f"docs: {folder} holds no text", hint=f"Put {', '.join(SUFFIXES)} files there", field="docs"
        )
    return Folder(documents, skipped)


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
