"""Example 4, another program: a real port, for what is not Python's httpx or not in this process."""

from __future__ import annotations

import subprocess
import sys

from wx_integrations.emulator.testing import Watsonx

PROGRAM = """
from wx_integrations import Client
from wx_integrations.core import calls
from wx_integrations.core.wire.chat import ChatRequest, UserMessage

client = Client()  # settings from WATSONX_*
target = calls.Model("ibm/granite-4-h-small", client.connection.project_id)
request = ChatRequest(messages=[UserMessage(content="Who are you?")], max_tokens=20)
print(client.run(calls.chat(target, request)).choices[0].message.content)
"""


def test_it_finds_the_service_by_its_environment(watsonx_server: Watsonx) -> None:
    watsonx_server.reply("A test.")
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.stderr) == ("A test.\n", "")
    watsonx_server.expect_chat("Who are you?", times=1)
