"""TLS of the ml host and of the token host, each by itself: trusted, or refused once; nothing counts process-wide."""

from __future__ import annotations

import os
import ssl
import urllib.request
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.certificates import Authority
from tests.support.clock import FakeTime
from tests.support.colour import Colour
from tests.support.server import Script, Server, answer, stream
from tests.support.tokens import iam
from wx_integrations.core.calls import StreamCall, model_specs
from wx_integrations.core.connection import Connection
from wx_integrations.core.errors import ConnectionFailed
from wx_integrations.core.fields import ModelFields
from wx_integrations.core.session import Session

Serve = Callable[..., Server]
SPECS = answer(200, {"limit": 1, "first": {"href": "x"}, "resources": []})
STREAM: StreamCall[bytes] = StreamCall(
    path="/ml/v1/text/chat_stream", parse=lambda data: data, is_last=lambda data: True, body=b"{}"
)
HOSTS = ("ml", "token")
WRONGS = ("unknown authority", "self-signed", "wrong host", "expired")


class Hosts:
    """Two servers with certificates of their own."""

    def __init__(self, serve: Serve, authority: Authority, **contexts: ssl.SSLContext) -> None:
        good = authority.good()
        answers = Script(lambda seen: stream(b"data: 1\n\n") if "stream" in seen.path else SPECS, token=iam())
        self.of = {name: serve(answers, tls=contexts.get(name, good)) for name in HOSTS}
        self.ml, self.token = self.of["ml"], self.of["token"]

    def connection(self, **settings: Any) -> Connection:
        auth_url = f"{self.token.url}/identity/token"
        return Connection(**{"url": self.ml.url, "auth_url": auth_url, "api_key": "k", "timeout": 10, **settings})


def context_of(authority: Authority, wrong: str) -> ssl.SSLContext:
    made = {
        "unknown authority": authority.good,
        "self-signed": authority.self_signed,
        "wrong host": authority.wrong_host,
        "expired": authority.expired,
    }
    return made[wrong]()


def process_wide() -> list[Any]:
    """Return what belongs to the whole process and must stay as it is."""
    default = ssl.create_default_context()
    return [
        dict(os.environ),
        list(warnings.filters),
        (ssl._create_default_https_context, ssl.create_default_context, ssl.SSLContext, ssl._create_unverified_context),
        (default.verify_mode, default.check_hostname, default.verify_flags, default.options),
        ssl.get_default_verify_paths(),
        urllib.request._opener,  # type: ignore[attr-defined]  # what urlopen would use
    ]


# --------------------------------------------------------------------------- refused


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("wrong", WRONGS)
@pytest.mark.parametrize("host", HOSTS)
def test_a_certificate_that_is_not_trusted_is_asked_for_once(
    colour: Colour, serve: Serve, authority: Authority, time: FakeTime, host: str, wrong: str, streamed: bool
) -> None:
    """Not again, not unverified, and whatever the retries: neither host gets a key or a token by it."""
    hosts = Hosts(serve, authority, **{host: context_of(authority, wrong)})
    trusted = None if wrong == "unknown authority" else str(authority.file)
    if wrong == "unknown authority" and host == "ml":  # so that only this host is at fault
        hosts.token = serve(Script(token=iam()))
    before = process_wide()
    session = colour.session(hosts.connection(verify=trusted, max_retries=5), time.waiting)
    for attempt in (1, 2):
        with pytest.raises(ConnectionFailed, match="the TLS certificate is not trusted") as caught:
            colour.all(session, STREAM) if streamed else colour.run(session, model_specs())
        assert f":{hosts.of[host].port}" in str(caught.value)
        assert caught.value.attempts == 1
        assert hosts.of[host].accepted == attempt
    assert hosts.of[host].seen == []
    assert time.slept == []
    assert len(hosts.token.seen) == (1 if host == "ml" else 0)  # the token of the first attempt still serves
    if host == "token":
        assert hosts.ml.accepted == 0
    assert process_wide() == before


@pytest.mark.parametrize("host", HOSTS)
def test_a_certificate_that_goes_bad_is_refused_on_the_next_connection(
    colour: Colour, serve: Serve, authority: Authority, host: str
) -> None:
    hosts = Hosts(serve, authority)
    session = colour.session(hosts.connection(verify=str(authority.file)))
    colour.run(session, model_specs())
    hosts.of[host].tls = authority.expired()
    colour.close_clients(session)
    if host == "token":
        hosts.ml.handler = Script(answer(401, {"errors": [{"code": "authentication_token_expired", "message": "x"}]}))
    with pytest.raises(ConnectionFailed, match="the TLS certificate is not trusted"):
        colour.run(session, model_specs())
    assert len(hosts.token.seen) == 1


# --------------------------------------------------------------------------- trusted


@pytest.mark.parametrize("given", ["file", "path", "folder", "context", "SSL_CERT_FILE", "adapter"])
def test_an_authority_of_one_s_own(
    colour: Colour, serve: Serve, authority: Authority, given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It counts for both hosts, for calls and streams."""
    hosts = Hosts(serve, authority)
    verify: Any = {
        "file": str(authority.file),
        "path": authority.file,
        "folder": authority.folder,
        "context": ssl.create_default_context(cafile=authority.file),
        "adapter": str(authority.file),
    }.get(given)
    if given == "SSL_CERT_FILE":
        monkeypatch.setenv(given, str(authority.file))
    before = process_wide()
    connection = hosts.connection(verify=verify)
    if given == "adapter":
        adapter = ModelFields(model_id="m", project_id="p", url=hosts.ml.url, auth_url=connection.auth_url, api_key="k")
        connection = adapter.model_copy(update={"verify": verify}).settled_connection
    session = colour.session(connection)
    colour.run(session, model_specs())
    assert colour.all(session, STREAM) == [b"1"]
    assert (len(hosts.token.seen), len(hosts.ml.seen)) == (1, 2)
    assert hosts.ml.seen[0].header("authorization") is not None
    assert process_wide() == before


def test_a_file_of_one_s_own_is_all_that_is_trusted(authority: Authority) -> None:
    session = Session(Connection(region="us-south", token="t", verify=str(authority.file)))
    context = session.client._shared.context
    assert len(context.get_ca_certs()) == 1
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_a_certificate_of_the_client_s(colour: Colour, serve: Serve, authority: Authority) -> None:
    """A context of one's own may hold one, for both hosts."""
    asking = authority.good()
    asking.verify_mode = ssl.CERT_REQUIRED
    asking.load_verify_locations(authority.file)
    hosts = Hosts(serve, authority, ml=asking, token=asking)
    own = ssl.create_default_context(cafile=authority.file)
    authority._authority.issue_cert("client@example.com").configure_cert(own)
    colour.run(colour.session(hosts.connection(verify=own)), model_specs())
    assert (len(hosts.token.seen), len(hosts.ml.seen)) == (1, 1)
    with pytest.raises(ConnectionFailed):  # "certificate required", unless the closing outruns these words
        colour.run(colour.session(hosts.connection(verify=str(authority.file), max_retries=0)), model_specs())
    assert (len(hosts.token.seen), len(hosts.ml.seen)) == (1, 1)


# --------------------------------------------------------------------------- verification off


@pytest.mark.parametrize("wrong", WRONGS)
def test_verification_off_is_said_once_and_counts_for_one_connection_only(
    colour: Colour, serve: Serve, authority: Authority, wrong: str
) -> None:
    hosts = Hosts(serve, authority, ml=context_of(authority, wrong), token=context_of(authority, wrong))
    session = colour.session(hosts.connection(verify=False))
    before = process_wide()
    with pytest.warns(UserWarning, match="anyone on the way can read the token") as said:
        colour.run(session, model_specs())
    assert len(said) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):
            colour.run(session, model_specs())
            assert colour.all(session, STREAM) == [b"1"]
            colour.close_clients(session)
    assert (len(hosts.token.seen), len(hosts.ml.seen)) == (1, 5)
    assert process_wide() == before
    with pytest.raises(ConnectionFailed, match="the TLS certificate is not trusted"):
        colour.run(colour.session(hosts.connection()), model_specs())  # another connection verifies
