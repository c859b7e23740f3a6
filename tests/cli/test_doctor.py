"""`wx doctor` over real sockets: a setup that works, ten and more that do not, each with its advice."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.cli.terminal import KEY, PROJECT, service, wx
from tests.support.certificates import Authority
from tests.support.server import HANG, Seen, Server, Step, answer, error
from tests.support.tokens import jwt
from wx_integrations.cli import examination
from wx_integrations.cli.doctor import STEPS
from wx_integrations.cli.examination import Case, Finding, examine
from wx_integrations.core.errors import ConfigurationError
from wx_integrations.core.hosts import Hosts
from wx_integrations.emulator.brain import ModelCard
from wx_integrations.emulator.deterministic import DeterministicBrain
from wx_integrations.emulator.exchange import Reply, json_reply
from wx_integrations.emulator.faults import Broken, Page, RateLimited, Status
from wx_integrations.emulator.server import LocalServer
from wx_integrations.emulator.service import Visit
from wx_integrations.emulator.testing import emulated

NAMES = [step.name for step in STEPS]


@pytest.fixture(scope="module")
def good() -> Iterator[tuple[LocalServer, dict[str, str]]]:
    with service() as running:
        yield running


@pytest.fixture
def server(good: tuple[LocalServer, dict[str, str]]) -> LocalServer:
    good[0].emulator.faults.clear()
    good[0].emulator.journal.clear()
    return good[0]


@pytest.fixture
def environment(good: tuple[LocalServer, dict[str, str]]) -> dict[str, str]:
    return dict(good[1])


def diagnosis(*arguments: str, **environment: str) -> dict[str, dict[str, Any]]:
    """Return the findings by step, after checking that text and JSON agree and show no secret."""
    found = wx("doctor", "--json", *arguments, **environment)
    report = json.loads(found.out)
    assert found.code == (0 if report["ok"] else 1)
    assert found.err == ""
    steps = {step["step"]: step for step in report["steps"]}
    assert list(steps) == NAMES
    assert report["ok"] == all(step["outcome"] != "failed" for step in report["steps"])
    for name, secret in environment.items():
        assert name not in ("WATSONX_API_KEY", "WATSONX_TOKEN", "WATSONX_PASSWORD") or secret not in found.out
    return steps


def outcomes(steps: dict[str, dict[str, Any]]) -> str:
    """Return one letter a step: o ok, w warning, f failed, s skipped."""
    return "".join(step["outcome"][0] for step in steps.values())


# --------------------------------------------------------------------------- a setup that works


def test_a_setup_that_works(server: LocalServer, environment: dict[str, str]) -> None:
    run = wx("doctor", **environment)
    assert (run.code, run.err) == (0, "")
    seen = [re.sub(r"\d+ ms", "N ms", line) for line in run.lines]
    host = server.url.removeprefix("http://")
    assert seen == [
        f"ok   settings  {server.url} with api_key  (N ms)",
        f"ok   network   {host} in N ms  (N ms)",
        "ok   token     a token, valid for 60 minutes  (N ms)",
        "ok   project   project Emulated project  (N ms)",
        "ok   models    19 models, 10 chat, 5 embed  (N ms)",
        "ok   chat      ibm/granite-4-h-small said 'You said: Answer with the word: ready'  (N ms)",
        "ok   embedding ibm/slate-125m-english-rtrvr gave 384 numbers  (N ms)",
    ]
    assert [(entry.method, entry.path) for entry in server.emulator.journal] == [
        ("GET", "/"),
        ("POST", "/identity/token"),
        ("GET", f"/v2/projects/{PROJECT}"),
        ("GET", "/ml/v1/foundation_model_specs"),
        ("POST", "/ml/v1/text/chat"),
        ("POST", "/ml/v1/text/embeddings"),
    ]


def test_the_report_for_programs(server: LocalServer, environment: dict[str, str]) -> None:
    steps = diagnosis(**environment)
    assert outcomes(steps) == "ooooooo"
    assert all(step["advice"] is None and step["seconds"] >= 0 for step in steps.values())
    assert steps["settings"]["facts"] == {
        "url": server.url,
        "platform": server.url,
        "cloud": "loopback",
        "login": "api_key",
        "project_id": PROJECT,
        "space_id": None,
        "version": "2024-03-14",
    }
    assert steps["network"]["facts"]["url"]["status"] == 404
    assert steps["token"]["facts"] == {"lifetime": 3600, "account": None}
    assert steps["models"]["facts"] == {"total": 19, "chat": 10, "embedding": 5}
    assert steps["embedding"]["facts"]["dimension"] == 384


def test_over_tls() -> None:
    with service(tls=True) as (_, environment):
        steps = diagnosis(**environment)
    assert outcomes(steps) == "ooooooo"
    assert "TLSv1.3, certificate by wx_integrations throw-away CA" in steps["network"]["detail"]


def test_options_replace_the_environment(server: LocalServer, environment: dict[str, str]) -> None:
    del environment["WATSONX_URL"]
    arguments = ["--url", server.url, "--space", PROJECT, "--model", "openai/gpt-oss-120b"]
    del environment["WATSONX_PROJECT_ID"]
    steps = diagnosis(*arguments, "--embedding-model", "intfloat/multilingual-e5-large", **environment)
    assert outcomes(steps) == "ooooooo"
    assert steps["project"]["detail"] == "space Emulated space"
    assert steps["chat"]["facts"]["model"] == "openai/gpt-oss-120b"
    assert server.emulator.journal.one("text/chat").body["space_id"] == PROJECT


def test_a_deployment_needs_no_project(server: LocalServer, environment: dict[str, str]) -> None:
    del environment["WATSONX_PROJECT_ID"]
    steps = diagnosis("--deployment", "my-deployment", **environment)
    assert outcomes(steps) == "ooooo" + "os"
    assert server.emulator.journal.find("/ml/v1/deployments/my-deployment/text/chat")


def test_the_models_that_the_service_has_are_tried() -> None:
    cards = [ModelCard("own/talker", "t", "own", "", ("text_chat",), 100, 100)]
    with service(brain=DeterministicBrain(cards)) as (_, environment):
        steps = diagnosis(**environment)
    assert outcomes(steps) == "oooooo" + "s"
    assert steps["chat"]["facts"]["model"] == "own/talker"
    assert steps["embedding"]["detail"] == "no model of this service embeds"


# --------------------------------------------------------------------------- ten ways to fail


def test_1_no_key(environment: dict[str, str]) -> None:
    del environment["WATSONX_API_KEY"]
    steps = diagnosis(**environment)
    assert outcomes(steps) == "fssssss"
    assert steps["settings"]["detail"] == "no credentials: api_key is not set"
    assert "Give api_key (WATSONX_API_KEY) or token (WATSONX_TOKEN)" in steps["settings"]["advice"]
    assert "https://cloud.ibm.com/iam/apikeys" in steps["settings"]["advice"]
    assert steps["chat"]["detail"] == "needs token"


def test_2_wrong_key(environment: dict[str, str]) -> None:
    environment["WATSONX_API_KEY"] = "a-wrong-api-key"
    steps = diagnosis(**environment)
    assert outcomes(steps) == "oofssss"
    assert "BXNIM0415E: Provided API key could not be found" in steps["token"]["detail"]
    assert steps["token"]["advice"].startswith(
        "Check api_key (WATSONX_API_KEY): IBM Cloud does not know this key. Keys are made at https://cloud.ibm.com"
    )
    facts = steps["token"]["facts"]
    assert (facts["error"], facts["status"], facts["code"]) == ("Unauthorized", 400, "BXNIM0415E")
    assert len(facts["trace"]) == 32


def test_3_wrong_region_by_name(environment: dict[str, str]) -> None:
    del environment["WATSONX_URL"]
    steps = diagnosis(**environment, WATSONX_REGION="eu-dee")
    assert outcomes(steps) == "fssssss"
    assert steps["settings"]["advice"].startswith("Did you mean 'eu-de'? Known: us-south, eu-de")


def test_3_wrong_region_of_the_project(environment: dict[str, str]) -> None:
    with service(projects={"of-this-region"}) as (here, _), service(projects={PROJECT}) as (there, _):
        regions = [Hosts(url, url, None, "loopback") for url in (here.url, there.url)]
        case = Case({}, environment | {"WATSONX_URL": here.url}, search_regions=True, regions=regions)
        findings = {finding.step: finding for finding in examine(case, STEPS)}
        assert findings["project"].outcome == "failed"
        assert findings["project"].detail == f"127.0.0.1 does not know the project {PROJECT}"
        assert findings["project"].advice == f"The project is in another region: set WATSONX_URL={there.url}"
        assert findings["project"].facts["found_in"] == there.url
        assert there.emulator.journal.one(f"/v2/projects/{PROJECT}").headers["authorization"] == "Bearer ***"

        case = Case({}, environment | {"WATSONX_URL": here.url}, regions=regions)
        advice = {finding.step: finding.advice for finding in examine(case, STEPS)}["project"]
        assert advice is not None
        assert "Check WATSONX_PROJECT_ID (shown in the project under Manage > General > Details)" in advice
        assert len(there.emulator.journal.find(f"/v2/projects/{PROJECT}")) == 1


def test_4_key_of_another_account(server: LocalServer, environment: dict[str, str]) -> None:
    for path in (f"/v2/projects/{PROJECT}", "text/chat", "text/embeddings"):
        server.emulator.faults.add(Status(403, "user_authorization_failed", "The user may not do that"), path=path)
    steps = diagnosis(**environment)
    assert outcomes(steps) == "ooof" + "off"
    assert steps["project"]["advice"] == (
        "The login works, but this user may not use the project: create the API key in the account that owns the "
        "project (https://cloud.ibm.com/iam/apikeys), or add this user there (Manage > Access control). "
        "Check the region (WATSONX_URL) too"
    )
    assert steps["chat"]["advice"] == steps["embedding"]["advice"] == "See what was found about the project"


def test_5_private_instance_at_the_public_host(server: LocalServer, environment: dict[str, str]) -> None:
    refusal = Status(403, "forbidden", "can not call public host with a private instance")
    server.emulator.faults.add(refusal, path="text/chat")
    steps = diagnosis(**environment)
    assert outcomes(steps) == "ooooo" + "fo"
    assert "The instance is private: use the region's private URL" in steps["chat"]["advice"]


def test_5_private_instance_in_a_known_region() -> None:
    refusal = Status(403, "forbidden", "can not call public host with a private instance")
    with emulated() as watsonx:
        watsonx.fail(refusal, path="text/chat")
        findings = {finding.step: finding for finding in examine(Case(), STEPS)}
    assert findings["chat"].advice == (
        "The instance is private: set WATSONX_URL=https://private.us-south.ml.cloud.ibm.com"
    )


def test_5_private_and_public_settings_mixed() -> None:
    private = "https://private.us-south.ml.cloud.ibm.com"
    with emulated(url=private):
        case = Case({"platform_url": "https://api.dataplatform.cloud.ibm.com"})
        finding = next(examine(case, STEPS))
        consistent = next(examine(Case(), STEPS))
    assert (finding.outcome, finding.advice) == ("warning", "url is private but platform_url is public")
    assert consistent.outcome == "ok"


def test_6_missing_project(environment: dict[str, str]) -> None:
    del environment["WATSONX_PROJECT_ID"]
    steps = diagnosis(**environment)
    assert outcomes(steps) == "ooofoss"
    assert steps["project"]["detail"] == "neither project_id nor space_id is set"
    assert steps["project"]["advice"].startswith("Give project_id (WATSONX_PROJECT_ID) or space_id (WATSONX_SPACE_ID)")
    assert "Manage > General > Details" in steps["project"]["advice"]
    assert steps["chat"]["detail"] == steps["embedding"]["detail"] == "needs a project or space"


def test_6_unknown_project(server: LocalServer, environment: dict[str, str]) -> None:
    environment["WATSONX_PROJECT_ID"] = "00000000-0000-0000-0000-000000000000"
    steps = diagnosis(**environment)
    assert outcomes(steps)[:4] == "ooof"
    assert steps["project"]["advice"].startswith("Check WATSONX_PROJECT_ID")
    assert "key is of the account that owns the project" in steps["project"]["advice"]
    assert len(server.emulator.journal.find(f"/v2/projects/{environment['WATSONX_PROJECT_ID']}")) == 1


def test_7_unknown_model(environment: dict[str, str]) -> None:
    steps = diagnosis("--model", "ibm/granite-4-h-smal", "--embedding-model", "ibm/slate", **environment)
    assert outcomes(steps) == "oooowff"
    assert "ibm/granite-4-h-smal is not among them" in steps["models"]["detail"]
    assert "model_not_supported" in steps["chat"]["detail"]
    assert steps["chat"]["advice"].startswith("Did you mean 'ibm/granite-4-h-small'")
    assert steps["chat"]["advice"].endswith("? `wx models` lists what there is")
    assert steps["embedding"]["advice"]


def test_8_model_without_chat(environment: dict[str, str]) -> None:
    steps = diagnosis("--model", "google/flan-ul2", "--embedding-model", "openai/gpt-oss-120b", **environment)
    assert outcomes(steps) == "ooooo" + "ff"
    assert "model_no_support_for_function" in steps["chat"]["detail"]
    assert steps["chat"]["advice"].startswith("google/flan-ul2 does not offer text_chat; models that do: '")
    assert steps["embedding"]["advice"].startswith("openai/gpt-oss-120b does not offer embedding; models that do: '")


def test_9_proxy_down(environment: dict[str, str]) -> None:
    port = closed_port()
    steps = diagnosis(**environment, HTTP_PROXY=f"http://user:proxy-secret@127.0.0.1:{port}")
    assert outcomes(steps) == "ofsssss"
    assert (
        f"cannot be reached through the proxy http://127.0.0.1:{port} (Connection refused)"
        in (steps["network"]["detail"])
    )
    assert steps["network"]["advice"] == (
        f"Check HTTPS_PROXY and HTTP_PROXY (or proxies=): http://127.0.0.1:{port} does not work. "
        "Without a proxy unset them; NO_PROXY=127.0.0.1 goes around it"
    )
    assert "proxy-secret" not in json.dumps(steps)


def test_9_proxy_down_for_https() -> None:
    port = closed_port()
    with service(tls=True) as (_, environment):
        steps = diagnosis(**environment, HTTPS_PROXY=f"http://127.0.0.1:{port}")
        around = diagnosis(**environment, HTTPS_PROXY=f"http://127.0.0.1:{port}", NO_PROXY="127.0.0.1")
    assert steps["network"]["facts"]["url"]["trouble"] == "proxy"
    assert outcomes(around) == "ooooooo"


def test_10_bad_ca() -> None:
    with service(tls=True) as (_, environment):
        del environment["SSL_CERT_FILE"]
        steps = diagnosis(**environment)
    assert outcomes(steps) == "ofsssss"
    assert "unable to get local issuer certificate" in steps["network"]["detail"]
    assert steps["network"]["advice"].startswith("Make its authority known: SSL_CERT_FILE=/path/to/ca.pem")


# --------------------------------------------------------------------------- and more


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_nothing_set_at_all() -> None:
    steps = diagnosis()
    assert outcomes(steps) == "fssssss"
    assert "WATSONX_URL" in steps["settings"]["advice"]
    assert "wx serve" in steps["settings"]["advice"]


def test_variables_that_nobody_reads(environment: dict[str, str]) -> None:
    steps = diagnosis(**environment, WATSONX_PROJECT="x", WATSONX_APIKEY="other", WATSONX_MAX_RETRIES="3")
    assert outcomes(steps) == "wooooo" + "o"
    assert steps["settings"]["advice"] == (
        "WATSONX_PROJECT is not read; did you mean WATSONX_PROJECT_ID?; "
        "WATSONX_API_KEY and WATSONX_APIKEY differ; WATSONX_API_KEY is used"
    )


@pytest.mark.parametrize(
    ("kind", "reason", "advice"),
    [
        ("self_signed", "self-signed certificate", "Make its authority known"),
        ("wrong_host", "mismatch", "Use the name that the certificate was issued for in url (WATSONX_URL)"),
        ("expired", "expired", "Check the clock of this machine"),
    ],
)
def test_certificates(tmp_path: Path, kind: str, reason: str, advice: str) -> None:
    authority = Authority(tmp_path)
    with Server(lambda seen: answer(), tls=getattr(authority, kind)()) as server:
        steps = diagnosis(**elsewhere(server, scheme="https"), SSL_CERT_FILE=str(authority.file))
    assert outcomes(steps) == "ofsssss"
    assert reason in steps["network"]["detail"]
    assert steps["network"]["advice"].startswith(advice)


def elsewhere(server: Server, scheme: str = "http") -> dict[str, str]:
    url = f"{scheme}://127.0.0.1:{server.port}"
    return {"WATSONX_URL": url, "WATSONX_API_KEY": KEY, "WATSONX_PROJECT_ID": PROJECT}


def test_a_ca_file_that_is_none(tmp_path: Path) -> None:
    environment = {"WATSONX_URL": "https://127.0.0.1:1", "WATSONX_API_KEY": KEY}
    steps = diagnosis(**environment, SSL_CERT_FILE=str(tmp_path / "missing.pem"))
    assert outcomes(steps) == "ofsssss"
    assert steps["network"]["detail"].startswith("SSL_CERT_FILE")
    assert steps["network"]["advice"] == "Give the path of a PEM file with the certificates to trust"


def test_https_where_http_is_spoken() -> None:
    with Server(lambda seen: answer()) as server:
        steps = diagnosis(**elsewhere(server, scheme="https"))
    assert steps["network"]["facts"]["url"]["trouble"] == "tls"
    assert "does not speak TLS" in steps["network"]["advice"]


def test_nobody_listens() -> None:
    environment = {"WATSONX_URL": f"http://127.0.0.1:{closed_port()}", "WATSONX_TOKEN": "a-token"}
    steps = diagnosis(**environment)
    assert steps["network"]["detail"].endswith("cannot be reached (Connection refused)")
    assert steps["network"]["advice"] == "Check host and port of url (WATSONX_URL) and that the service is up"


def test_silence() -> None:
    with Server(lambda seen: [HANG]) as server:
        steps = diagnosis("--timeout", "0.2", **elsewhere(server))
    assert steps["network"]["facts"]["url"]["trouble"] == "timeout"
    assert "firewall" in steps["network"]["advice"]


def test_an_unknown_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nowhere)
    login = {"WATSONX_API_KEY": KEY, "WATSONX_PROJECT_ID": PROJECT}
    steps = diagnosis(**login, WATSONX_URL="https://private.eu-de.ml.cloud.ibm.com")
    assert steps["network"]["detail"] == (
        "private.eu-de.ml.cloud.ibm.com cannot be reached (Name or service not known)"
    )
    assert steps["network"]["advice"] == (
        "Private hosts can be reached from IBM Cloud's private network only; "
        "from elsewhere use https://eu-de.ml.cloud.ibm.com (WATSONX_URL)"
    )
    steps = diagnosis(**login, WATSONX_URL="https://watsonx.invalid", WATSONX_USERNAME="me")
    assert steps["network"]["advice"].startswith("Check the spelling of url (WATSONX_URL), the network")


@pytest.mark.parametrize(
    ("status", "text", "advice"),
    [
        (407, "Proxy Authentication Required", "The proxy wants a login: HTTPS_PROXY=http://user:password@host:port"),
        (403, "Forbidden", "Have 127.0.0.1:1 allowed in the proxy"),
    ],
)
def test_a_proxy_that_refuses(status: int, text: str, advice: str) -> None:
    refusal = f"HTTP/1.1 {status} {text}\r\nContent-Length: 0\r\n\r\n".encode()
    with Server(lambda seen: [refusal]) as proxy:
        environment = {"WATSONX_URL": "https://127.0.0.1:1", "WATSONX_API_KEY": KEY}
        steps = diagnosis(**environment, HTTPS_PROXY=f"http://127.0.0.1:{proxy.port}")
    assert steps["network"]["facts"]["url"]["trouble"] == "proxy_refuses"
    assert steps["network"]["advice"].startswith(advice)


def test_the_platform_is_needed_for_projects_only(server: LocalServer, environment: dict[str, str]) -> None:
    environment["WATSONX_PLATFORM_URL"] = f"http://127.0.0.1:{closed_port()}"
    environment["WATSONX_AUTH_URL"] = server.url
    steps = diagnosis(**environment)
    assert outcomes(steps) == "owowo" + "oo"
    assert "it is needed for projects and agent tools only" in steps["network"]["detail"]
    assert steps["network"]["advice"].startswith("Check host and port of platform_url (WATSONX_PLATFORM_URL)")
    assert steps["project"]["detail"].startswith("the project could not be looked up: ")


def test_a_page_to_log_in_to_the_network(server: LocalServer, environment: dict[str, str]) -> None:
    server.emulator.faults.add(Page(), method="POST", path="/identity/token")
    steps = diagnosis(**environment)
    assert outcomes(steps) == "oofssss"
    assert "answered without a token" in steps["token"]["detail"]
    assert "any proxy in between" in steps["token"]["advice"]


def test_a_token_endpoint_that_breaks(server: LocalServer, environment: dict[str, str]) -> None:
    server.emulator.faults.add(Broken("reset"), path="/identity/token")
    steps = diagnosis(**environment)
    assert outcomes(steps) == "oofssss"
    assert steps["token"]["facts"]["error"] == "ConnectionFailed"
    assert len(server.emulator.journal.find("/identity/token")) == 1


@pytest.mark.parametrize(("left", "outcome"), [(-600, "oof"), (600, "ooo")])
def test_ready_made_tokens(left: float, outcome: str) -> None:
    account = {"valid": True, "bss": "of-the-account"}
    token = jwt(lifetime=3600, issued=time.time() - 3600 + left, account=account)
    with service(any_token=True) as (_, environment):
        del environment["WATSONX_API_KEY"]
        steps = diagnosis(**environment, WATSONX_TOKEN=token)
    assert outcomes(steps)[:3] == outcome
    assert steps["token"]["facts"]["account"] == "of-the-account"
    if left < 0:
        assert steps["token"]["detail"] == "the token expired 10 minutes ago"
        assert "Give a fresh token (WATSONX_TOKEN), or an API key (WATSONX_API_KEY)" in steps["token"]["advice"]
    else:
        assert steps["token"]["detail"] == "a ready-made token, valid for 10 more minutes; it is used as it is"


def test_a_token_that_says_nothing() -> None:
    with service() as (_, environment):
        del environment["WATSONX_API_KEY"]
        steps = diagnosis(**environment, WATSONX_TOKEN="opaque-token")
    assert outcomes(steps) == "ooofoff"
    assert steps["project"]["facts"]["status"] == 401
    assert steps["project"]["advice"].startswith("The login works, but this user may not use the project")


def test_the_account_of_the_key_is_named() -> None:
    token = jwt(account={"bss": "of-the-account"})

    def handle(seen: Seen) -> Sequence[Step]:
        if seen.path == "/identity/token":
            return answer(200, {"access_token": token, "expires_in": 3600})
        return error(403, "user_authorization_failed", "no")

    with Server(handle) as server:
        steps = diagnosis(**elsewhere(server))
    assert steps["token"]["detail"] == "a token for account of-the-account, valid for 60 minutes"
    assert "this user (account of-the-account) may not use the project" in steps["project"]["advice"]


def test_software_with_a_wrong_password(environment: dict[str, str]) -> None:
    del environment["WATSONX_API_KEY"]
    steps = diagnosis(**environment, WATSONX_USERNAME="me", WATSONX_PASSWORD="wrong-password")
    assert outcomes(steps) == "oofssss"
    assert steps["settings"]["facts"]["login"] == "password of me"
    assert "WATSONX_PASSWORD" in steps["token"]["advice"]
    assert "iam/apikeys" not in steps["token"]["advice"]


@pytest.mark.parametrize("code", ["no_associated_service_instance_error", "no_associated_service_instance"])
def test_no_runtime(server: LocalServer, environment: dict[str, str], code: str) -> None:
    refusal = Status(403, code, "project_id has no WML instance")
    server.emulator.faults.add(refusal, path="text/chat")
    steps = diagnosis(**environment)
    assert steps["chat"]["advice"].startswith("Associate a watsonx.ai Runtime instance with the project")


def test_a_cloud_project_without_a_runtime() -> None:
    body = {"metadata": {"guid": "p"}, "entity": {"name": "Mine", "compute": [{"type": "spark"}]}}
    with emulated() as watsonx:
        watsonx.emulator.faults.add(JsonAnswer(body), path=f"/v2/projects/{watsonx.project_id}")
        findings = {finding.step: finding for finding in examine(Case(), STEPS)}
    assert findings["project"].outcome == "warning"
    assert findings["project"].detail == "project Mine has no watsonx.ai Runtime"
    assert findings["project"].advice == (
        "Associate a watsonx.ai Runtime instance (project > Manage > Services & integrations)"
    )


class JsonAnswer:
    """A fault: another answer with status 200."""

    def __init__(self, body: Any) -> None:
        self.body = body

    def apply(self, visit: Visit, answer: Callable[[], Reply]) -> Reply:
        return json_reply(200, self.body)


def test_too_many_requests(server: LocalServer, environment: dict[str, str]) -> None:
    server.emulator.faults.add(RateLimited(retry_after=30), path="text/chat")
    steps = diagnosis(**environment)
    assert outcomes(steps) == "ooooo" + "fo"
    assert "Send fewer requests" in steps["chat"]["advice"]
    assert len(server.emulator.journal.find("text/chat")) == 1
    assert steps["embedding"]["seconds"] < 10, "no step waits for another's Retry-After"


def test_a_deprecated_model(server: LocalServer, environment: dict[str, str]) -> None:
    steps = diagnosis("--model", "ibm/granite-13b-instruct-v2", **environment)
    assert "ibm/granite-13b-instruct-v2 is deprecated; use ibm/granite-4-h-small" in steps["models"]["detail"]
    assert steps["chat"]["outcome"] == "failed"


def test_an_empty_model_list(server: LocalServer, environment: dict[str, str]) -> None:
    server.emulator.faults.add(JsonAnswer({"resources": []}), path="foundation_model_specs")
    steps = diagnosis(**environment)
    assert outcomes(steps) == "oooow" + "oo"


# --------------------------------------------------------------------------- secrets


def test_a_server_that_repeats_what_it_is_told() -> None:
    token = jwt()

    def handle(seen: Seen) -> Sequence[Step]:
        if seen.path == "/identity/token":
            return answer(200, {"access_token": token, "expires_in": 3600})
        return error(400, "code", f"you sent {seen.headers} {KEY}")

    with Server(handle) as server:
        run = wx("doctor", **elsewhere(server))
        steps = diagnosis(**elsewhere(server))
    for text in (run.out, json.dumps(steps)):
        assert "you sent" in text
        assert token not in text
        assert KEY not in text
        assert "**********" in text


def test_secrets_of_every_kind_stay_out() -> None:
    with service(any_token=True) as (_, environment):
        for name in ("TOKEN", "ZEN_API_KEY", "PASSWORD"):
            secret = f"canary-{name.lower()}"
            given = {key: value for key, value in environment.items() if key != "WATSONX_API_KEY"}
            user = {"WATSONX_USERNAME": "me"} if name == "PASSWORD" else {}
            run = wx("doctor", **given, **user, **{f"WATSONX_{name}": secret})
            assert "canary" not in run.out + run.err
            assert len(run.lines) >= 7


# --------------------------------------------------------------------------- the runner


def test_steps_are_values() -> None:
    def breaks(case: Case) -> Finding:
        raise ConfigurationError("it is wrong", hint="do this", field="x")

    ticks = iter(range(10))
    steps = (
        examination.Step("a", lambda case: Finding("a", "warning", "so so")),
        examination.Step("b", breaks, needs=("a",)),
        examination.Step("c", breaks, needs=("b",)),
        examination.Step("d", breaks, needs=("c",)),
    )
    findings = list(examine(Case(environ={}), steps, clock=lambda: float(next(ticks))))
    assert [(finding.step, finding.outcome, finding.seconds) for finding in findings] == [
        ("a", "warning", 1.0),
        ("b", "failed", 1.0),
        ("c", "skipped", 0.0),
        ("d", "skipped", 0.0),
    ]
    assert (findings[1].detail, findings[1].advice) == ("it is wrong", "do this")


def test_findings_come_as_they_are_made(environment: dict[str, str], server: LocalServer) -> None:
    findings = examine(Case({}, environment), STEPS)
    assert isinstance(findings, Generator)
    assert next(findings).step == "settings"
    assert len(server.emulator.journal) == 0
    findings.close()
