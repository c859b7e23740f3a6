"""Lists the arguments of IBM's own classes, for the notebook about moving from them.

```
$WX_ORACLE_PYTHON tests/incumbents.py > notebooks/incumbents.json
```

Runs in a Python that has IBM's packages (dependency group `oracle`) and needs nothing else. Arguments that a class
inherits from its framework are left out: they are the framework's.
"""

from __future__ import annotations

import inspect
import json
import sys
import warnings
from importlib import import_module
from importlib.metadata import version
from typing import Any

CLASSES = (
    ("langchain_ibm", "ChatWatsonx"),
    ("langchain_ibm", "WatsonxLLM"),
    ("langchain_ibm", "WatsonxEmbeddings"),
    ("langchain_ibm", "WatsonxRerank"),
    ("langchain_ibm.agent_toolkits.utility", "WatsonxToolkit"),
    ("llama_index.llms.ibm", "WatsonxLLM"),
    ("llama_index.embeddings.ibm", "WatsonxEmbeddings"),
    ("llama_index.postprocessor.ibm", "WatsonxRerank"),
)
PACKAGES = (
    "langchain-ibm",
    "llama-index-llms-ibm",
    "llama-index-embeddings-ibm",
    "llama-index-postprocessor-ibm",
)


def arguments(owner: Any) -> list[str]:
    """Return the names that a class's constructor takes beyond its framework's."""
    room = owner.__module__.partition(".")[0]
    own = [base for base in owner.__mro__ if base.__module__.startswith(("langchain_ibm", *_ibm(room)))]
    inherited = {name for base in owner.__mro__ if base not in own for name in getattr(base, "model_fields", {})}
    given = inspect.signature(owner.__init__).parameters.values()
    named = {each.name for each in given if each.kind is each.KEYWORD_ONLY or each.kind is each.POSITIONAL_OR_KEYWORD}
    names = named - {"self"} if len(named) > 1 else set(owner.model_fields)
    return sorted(names - inherited)


def _ibm(room: str) -> tuple[str, ...]:
    return tuple(module for module, _ in CLASSES if module.startswith(f"{room}."))


def main() -> None:
    """Write the list as JSON."""
    warnings.simplefilter("ignore")
    classes = [
        {"module": module, "name": name, "arguments": arguments(getattr(import_module(module), name))}
        for module, name in CLASSES
    ]
    found = {"packages": {name: version(name) for name in PACKAGES}, "classes": classes}
    sys.stdout.write(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
