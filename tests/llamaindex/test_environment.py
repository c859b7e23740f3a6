"""Installed alone: no LangChain, no network and little else in the process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import wx_integrations.llamaindex

ROOT = Path(__file__).parents[2]


def run(program: str, **environment: str) -> str:
    """Run a program in a fresh interpreter and return what it prints."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WATSONX")}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        env={**kept, **environment},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_and_answering_without_langchain() -> None:
    """Importing a LangChain module is an error here, and the process never does."""
    seen = run(
        """
        import json, sys

        class Refuse:
            def find_spec(self, name, path=None, target=None):
                if name.split(".")[0].startswith(("langchain", "langsmith", "langgraph", "ibm_watsonx_ai")):
                    raise ModuleNotFoundError(f"No module named {name!r}", name=name)

        sys.meta_path.insert(0, Refuse())
        before = set(sys.modules)
        import httpx
        from wx_integrations.emulator.app import Emulator
        from wx_integrations.emulator.transport import EmulatorTransport
        from wx_integrations.llamaindex import WatsonxEmbeddings, WatsonxLLM, WatsonxRerank

        transport = EmulatorTransport(Emulator())
        client = httpx.Client(transport=transport)
        connection = dict(url="us-south", api_key="k", project_id="p" * 36, httpx_client=client)
        llm = WatsonxLLM(model_id="ibm/granite-4-h-small", **connection)
        embed_model = WatsonxEmbeddings(model_id="ibm/slate-125m-english-rtrvr", **connection)
        reranker = WatsonxRerank(model_id="cross-encoder/ms-marco-minilm-l-12-v2", **connection)
        from llama_index.core.schema import NodeWithScore, TextNode
        node = NodeWithScore(node=TextNode(text="granite"))
        print(json.dumps({
            "answer": llm.complete("say blue").text,
            "embedding": len(embed_model.get_text_embedding("x")),
            "ranked": len(reranker.postprocess_nodes([node], query_str="granite")),
            "strangers": sorted(
                name for name in sys.modules if name.startswith(("langchain", "langsmith", "wx_integrations.langchain"))
            ),
        }))
        """
    )
    found = json.loads(seen)
    assert found == {"answer": "You said: say blue", "embedding": 384, "ranked": 1, "strangers": []}


def test_nothing_third_party_besides_the_framework() -> None:
    """Importing the adapters adds only this package to what LlamaIndex and httpx bring."""
    added = json.loads(
        run(
            """
            import json, sys
            import httpx
            import llama_index.core
            before = set(sys.modules)
            from wx_integrations.llamaindex import WatsonxEmbeddings, WatsonxLLM, WatsonxRerank, WatsonxTokenizer
            added = {name.partition(".")[0] for name in set(sys.modules) - before}
            print(json.dumps(sorted(added - set(sys.stdlib_module_names))))
            """
        )
    )
    assert set(added) <= {"wx_integrations", "llama_index", "anyio", "httpcore", "h11"}


def test_the_package_itself_loads_nothing() -> None:
    assert json.loads(
        run(
            """
            import json, sys
            import wx_integrations.llamaindex as package
            print(json.dumps([name for name in sys.modules if name.startswith("llama_index")] + dir(package)))
            """
        )
    ) == sorted(wx_integrations.llamaindex.__all__)


def test_without_the_extra_it_says_what_to_install() -> None:
    said = run(
        """
        import sys

        class Refuse:
            def find_spec(self, name, path=None, target=None):
                if name.split(".")[0] == "llama_index":
                    raise ModuleNotFoundError(f"No module named {name!r}", name=name)

        sys.meta_path.insert(0, Refuse())
        try:
            from wx_integrations.llamaindex import WatsonxLLM
        except ImportError as error:
            print(error)
        """
    )
    assert 'pip install "wx-integrations[llamaindex]"' in said
    assert "WatsonxLLM" in said


def test_an_unknown_name() -> None:
    with pytest.raises(AttributeError, match="no attribute 'WatsonxLMM'"):
        wx_integrations.llamaindex.WatsonxLMM  # noqa: B018


def test_every_name_is_there() -> None:
    for name in wx_integrations.llamaindex.__all__:
        assert getattr(wx_integrations.llamaindex, name).__name__ == name
