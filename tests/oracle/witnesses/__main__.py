"""Makes every call of every client that is installed, and prints what they got as one line of JSON.

Usage, with the folder above this one on the path: python -m witnesses URL CA_FILE API_KEY
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from importlib.metadata import version
from typing import Any

from .performing import Server, perform

CLIENTS = {
    "ibm-watsonx-ai": ("ibm_watsonx_ai", "official_sdk", "OfficialSdk"),
    "langchain-ibm": ("langchain_ibm", "official_langchain", "OfficialLangchain"),
    "llama-index-ibm": ("llama_index.llms.ibm", "official_llamaindex", "OfficialLlamaindex"),
    "litellm": ("litellm", "litellm_provider", "Litellm"),
}
PACKAGES = (
    *("ibm-watsonx-ai", "langchain-ibm", "llama-index-llms-ibm", "llama-index-embeddings-ibm"),
    *("llama-index-postprocessor-ibm", "litellm"),
)


def is_installed(module: str) -> bool:
    """Whether a module can be imported."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def testify(server: Server) -> dict[str, Any]:
    """Return the results by client and call, and the versions of the packages."""
    found = {
        family: perform(getattr(importlib.import_module(f".{home}", __package__), name)(server))
        for family, (module, home, name) in CLIENTS.items()
        if is_installed(module)
    }
    return {"results": found, "versions": {name: version(name) for name in PACKAGES if found}}


if __name__ == "__main__":
    sys.stdout.write("\n" + json.dumps(testify(Server(*sys.argv[1:4])), default=str) + "\n")
