"""Example 1, LangChain and pytest: an app that answers from documents, tested without a network or an account.

The fixture `watsonx` comes with the package. Embeddings are made by rule, so
that texts with common words are near: retrieval works for real. The chat
answer is scripted, and what the model was told is checked.
"""

from __future__ import annotations

import pytest
from langchain_core.vectorstores import InMemoryVectorStore

from wx_integrations.emulator.testing import Watsonx
from wx_integrations.langchain import ChatWatsonx, WatsonxEmbeddings

# --------------------------------------------------------------------------- the app

RULES = (
    "Dogs may travel on the open deck if they are on a lead.",
    "Bicycles cost 5 euros and go to the car deck.",
    "Tickets can be cancelled until two hours before departure.",
)
NOTHING = "I don't know."


class Helpdesk:
    """Answers questions of passengers from the rules."""

    def __init__(self) -> None:
        self.store = InMemoryVectorStore(WatsonxEmbeddings(model_id="ibm/slate-125m-english-rtrvr"))
        self.store.add_texts(list(RULES))
        self.chat = ChatWatsonx(model_id="ibm/granite-4-h-small", temperature=0, max_completion_tokens=100)

    def answer(self, question: str) -> str:
        """Answer from the nearest rule."""
        rule = self.store.similarity_search(question, k=1)[0].page_content
        system = f"Answer from this rule only, or say {NOTHING!r}: {rule}"
        return str(self.chat.invoke([("system", system), ("user", question)]).text)


# --------------------------------------------------------------------------- its tests


def test_the_right_rule_reaches_the_model(watsonx: Watsonx) -> None:
    watsonx.reply("Yes, on the open deck, on a lead.")

    assert Helpdesk().answer("May my dogs travel with me?") == "Yes, on the open deck, on a lead."

    watsonx.expect_embedded(*RULES)
    watsonx.expect_chat("May my dogs travel", system="on a lead", temperature=0, times=1)


def test_every_rule_is_embedded_once(watsonx: Watsonx) -> None:
    Helpdesk()

    request = watsonx.expect("text/embeddings", times=1)
    assert request.body["inputs"] == list(RULES)
    assert request.body["project_id"] == watsonx.project_id


@pytest.mark.watsonx(script_only=True)
def test_the_model_may_know_nothing(watsonx: Watsonx) -> None:
    watsonx.reply(NOTHING)

    assert Helpdesk().answer("Who won the world cup?") == NOTHING
