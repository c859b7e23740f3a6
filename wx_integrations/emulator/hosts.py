"""Which of IBM's hosts serves what; any other host is software, which serves everything.

Source: watsonx.ai API reference, "Endpoint URLs", and the official SDKs' tables.
"""

from __future__ import annotations

import re
from typing import Literal

Place = Literal["ml", "platform", "iam", "account", "software"]

_PLACES: tuple[tuple[Place, re.Pattern[str]], ...] = (
    ("iam", re.compile(r"(private\.)?iam(\.test)?\.cloud\.ibm\.com")),
    ("account", re.compile(r"account-iam\..+\.(saas\.ibm|ibmforusgov)\.com|dai(\.prep)?\.ibmforusgov\.com")),
    ("ml", re.compile(r"(private\.)?[\w.-]+\.ml(\.test)?\.cloud\.ibm\.com|(private\.)?[\w-]+\.aws\.wxai\.ibm\.com")),
    ("ml", re.compile(r"(private\.internal\.)?wxai(\.prep)?\.ibmforusgov\.com")),
    ("platform", re.compile(r"(private\.)?api\.([\w-]+\.)*(dataplatform|dai)(\.\w+)?\.cloud\.ibm\.com")),
    (
        "platform",
        re.compile(r"(private\.)?api\.[\w-]+\.aws\.data\.ibm\.com|(internal\.)?api\.dai(\.prep)?\.ibmforusgov\.com"),
    ),
)


def place_of(host: str) -> Place:
    """Return which family of hosts a name belongs to."""
    for place, pattern in _PLACES:
        if pattern.fullmatch(host):
            return place
    return "software"
