"""`wx demo`: from documents to cited answers, then an agent with a tool."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from langchain.agents import create_agent
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import BaseTool, tool

from wx_integrations.cli.rag import Folder, Rag, cited, index, split
from wx_integrations.cli.screen import Screen
from wx_integrations.langchain import ChatWatsonx, WatsonxEmbeddings, WatsonxRerank

CHAT = "ibm/granite-4-h-small"
EMBEDDING = "ibm/slate-125m-english-rtrvr"
RERANK = "cross-encoder/ms-marco-minilm-l-12-v2"

QUESTIONS = (
    "How many hours before departure must I cancel to get the full price back?",
    "Which ship carries the most cars, and how many?",
    "How much does it cost to bring a bicycle?",
    "What is the wifi password on board?",
)
AGENT_QUESTION = "What do 2 adults and 3 children pay together for the crossing to Skarholm?"
MAX_STEPS = 12

FARES = {"Skarholm": 24.0, "Little Ulvoy": 12.0, "Gull Rocks": 18.0}


@tool
def total_fare(destination: str, adults: int, children: int = 0) -> str:
    """Compute the price of a ferry crossing from Nordvik for a group.

    Args:
        destination: Skarholm, Little Ulvoy or Gull Rocks.
        adults: number of adults.
        children: number of children, who pay half.
    """
    price = next((fare for name, fare in FARES.items() if name.lower() in destination.lower()), None)
    if price is None:
        return f"There is no ferry to {destination}. Destinations: {', '.join(FARES)}."
    return f"{price * adults + price / 2 * children:.2f} euros"


@dataclass(frozen=True)
class Choice:
    """Which models the demo uses; the defaults exist on watsonx.ai and are aliases locally."""

    chat: str = CHAT
    embedding: str = EMBEDDING
    rerank: str = RERANK


def run(
    screen: Screen,
    settings: dict[str, Any],
    found: Folder,
    *,
    models: Choice,
    question: str | None = None,
) -> None:
    """Index the documents, answer the questions, then let an agent answer one that needs a tool.

    Args:
        screen: where to write.
        settings: a connection's settings; empty takes the environment's.
        found: the documents.
        models: the models' ids.
        question: the user's question instead of the four prepared ones.
    """
    chat = ChatWatsonx(model_id=models.chat, temperature=0, max_completion_tokens=200, **settings)
    embeddings = WatsonxEmbeddings(model_id=models.embedding, **settings)
    reranker = WatsonxRerank(model_id=models.rerank, **settings)

    passages = split(found.documents)
    if found.skipped:
        screen.say(f"Left out, not UTF-8 text: {', '.join(path.name for path in found.skipped)}")
    screen.heading(f"Indexing {len(found.documents)} documents")
    with screen.counting("passages", len(passages)) as progress:
        store = index(passages, embeddings, progress)
    screen.say(f"{len(passages)} passages embedded and indexed in memory.")

    rag = Rag(store, reranker, chat)
    for asked in [question] if question else QUESTIONS:
        _answer(screen, rag, asked)
    if found.shipped:
        _agent(screen, chat, [total_fare], AGENT_QUESTION)
    elif question:
        _agent(screen, chat, [_search_tool(rag)], question)


def _answer(screen: Screen, rag: Rag, question: str) -> None:
    screen.heading(f"Question: {question}")
    passages = rag.passages_for(question)
    text = screen.pieces(rag.answer(question, passages))
    numbers = cited(text, passages)
    for number in numbers:
        screen.say(f"  [{number}] {passages[number - 1].metadata['source']}", style="cyan")
    if not numbers:
        screen.say("  no source cited", style="dim")


def _search_tool(rag: Rag) -> BaseTool:
    @tool
    def search_documents(query: str) -> str:
        """Search the documents for passages about a question."""
        passages: list[Document] = rag.passages_for(query)
        return "\n\n".join(f"{passage.metadata['source']}: {passage.page_content}" for passage in passages)

    return search_documents


def _agent(screen: Screen, chat: ChatWatsonx, tools: list[BaseTool], question: str) -> None:
    screen.heading(f"Agent: {question}")
    agent = create_agent(chat, tools)
    start = {"messages": [("user", question)]}
    for update in agent.stream(start, {"recursion_limit": MAX_STEPS}, stream_mode="updates"):  # type: ignore[call-overload]
        for state in update.values():
            for message in state.get("messages", []):
                _show(screen, message)


def _show(screen: Screen, message: object) -> None:
    if isinstance(message, AIMessage):
        for call in message.tool_calls:
            arguments = ", ".join(f"{name}={value!r}" for name, value in call["args"].items())
            screen.say(f"  calls {call['name']}({arguments})", style="cyan")
        if message.text:
            screen.say(str(message.text))
    elif isinstance(message, ToolMessage):
        screen.say(f"  result: {message.text}", style="cyan")
