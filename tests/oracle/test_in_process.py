"""IBM's own clients inside a test: the emulator of this process answers them, without a socket."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import wx_integrations
from tests.oracle.marks import needs_witnesses
from tests.oracle.recording import PYTHON

pytestmark = needs_witnesses

PROGRAM = """
import asyncio, json, socket, warnings
warnings.simplefilter("ignore")
from ibm_watsonx_ai import APIClient, Credentials
from ibm_watsonx_ai.foundation_models import Embeddings, ModelInference
from langchain_ibm import ChatWatsonx
from wx_integrations.emulator.testing import emulated

connected = []
socket.socket.connect = lambda *arguments: connected.append(str(arguments))
found = {}
with emulated(strict=False) as watsonx:
    client = APIClient(Credentials(url=watsonx.url, api_key=watsonx.api_key), project_id=watsonx.project_id)
    model = ModelInference(model_id="ibm/granite-4-h-small", api_client=client)
    ask = [{"role": "user", "content": "Hello"}]
    watsonx.reply("scripted")
    found["chat"] = model.chat(messages=ask)["choices"][0]["message"]["content"]
    found["achat"] = asyncio.run(model.achat(messages=ask))["choices"][0]["message"]["content"]
    chunks = [chunk["choices"] for chunk in model.chat_stream(messages=ask)]
    found["stream"] = "".join(choices[0]["delta"].get("content") or "" for choices in chunks if choices)
    found["embed"] = len(Embeddings(model_id="ibm/slate-125m-english-rtrvr", api_client=client).embed_query("a"))
    watsonx.call("f", x=1)
    langchain = ChatWatsonx(model_id="ibm/granite-4-h-small", url=watsonx.url, project_id=watsonx.project_id)
    found["langchain"] = langchain.invoke("Hello").tool_calls[0]["args"]
    found["hosts"] = sorted({entry.host for entry in watsonx.journal})
    found["refused"] = [str(entry) for entry in watsonx.journal if entry.status != 200]
found["connected"] = connected
print(json.dumps(found))
"""


def test_they_reach_the_emulator_without_a_socket(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(wx_integrations.__file__).parents[1])}
    done = subprocess.run(
        [PYTHON, "-c", PROGRAM],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "chat": "scripted",
        "achat": "You said: Hello",
        "stream": "You said: Hello",
        "embed": 384,
        "langchain": {"x": 1},
        "hosts": ["api.dataplatform.cloud.ibm.com", "iam.cloud.ibm.com", "us-south.ml.cloud.ibm.com"],
        "refused": [],
        "connected": [],
    }
