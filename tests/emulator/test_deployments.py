"""Deployments as they are described to whoever asks before using one."""

from __future__ import annotations

from typing import Any

import pytest

from tests.emulator.lab import CHAT_MODEL, ML, PROJECT, VERSION, Lab, data_of, error_of
from wx_integrations.emulator.exchange import Reply
from wx_integrations.emulator.service import Deployed

ID = "6213cf12-252f-424b-b52d-5cdd9814956c"
SPACE = {"version": VERSION, "space_id": PROJECT}


def get(lab: Lab, name: str = "", **query: str) -> Reply:
    return lab.send("GET", f"/ml/v4/deployments/{name}".rstrip("/"), query={**SPACE, **query})


def described(lab: Lab, name: str) -> Any:
    return data_of(get(lab, name))


def test_any_deployment_is_described_unless_they_are_listed() -> None:
    shown = described(Lab(), ID)
    assert shown["metadata"]["id"] == ID
    assert shown["metadata"]["space_id"] == PROJECT
    assert shown["entity"]["base_model_id"] == CHAT_MODEL
    assert shown["entity"]["deployed_asset_type"] == "curated_foundation_model"
    assert shown["entity"]["status"]["state"] == "ready"
    urls = [row["url"] for row in shown["entity"]["status"]["inference"]]
    assert f"{ML}/ml/v1/deployments/{ID}/text/chat" in urls
    assert data_of(get(Lab()))["resources"] == []


def test_listed_deployments() -> None:
    lab = Lab(deployments={ID: Deployed(CHAT_MODEL), "joke": Deployed(CHAT_MODEL, template="{a}")})
    rows = data_of(get(lab))["resources"]
    assert [row["entity"]["deployed_asset_type"] for row in rows] == ["curated_foundation_model", "foundation_model"]
    assert rows[1] == described(lab, "joke")
    assert rows[1]["entity"]["online"] == {"parameters": {"serving_name": "joke"}}
    assert "prompt_template" in rows[1]["entity"]
    assert error_of(get(lab, "other"))["code"] == "deployment_does_not_exist"


@pytest.mark.parametrize("name", ["", ID])
def test_scope_and_version_are_needed(name: str) -> None:
    path = f"/ml/v4/deployments/{name}".rstrip("/")
    assert error_of(Lab().send("GET", path, query={"version": VERSION}))["target"]["name"] == "project_id"
    assert error_of(Lab().send("GET", path, query={"space_id": "s"}))["target"]["name"] == "version"
