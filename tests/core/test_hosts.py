"""The table of hosts, and how URLs are read.

Sources: the watsonx.ai API reference (endpoint URLs) and the official Python SDK 1.8 (its platform table and token
URLs).
"""

from __future__ import annotations

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wx_integrations.core import hosts
from wx_integrations.core.connection import Connection
from wx_integrations.core.errors import ConfigurationError

IAM = "https://iam.cloud.ibm.com/identity/token"
IAM_TEST = "https://iam.test.cloud.ibm.com/identity/token"
AWS = "https://account-iam.platform.saas.ibm.com/api/2.0/apikeys/token"
AWS_TEST = "https://account-iam.platform.test.saas.ibm.com/api/2.0/apikeys/token"
GOV = "https://dai.ibmforusgov.com/api/rest/mcsp/apikeys/token"
GOV_PREP = "https://dai.prep.ibmforusgov.com/api/rest/mcsp/apikeys/token"

# ml host, platform host, token URL; typed from the sources, not from the code.
ROWS = [
    ("us-south.ml.cloud.ibm.com", "api.dataplatform.cloud.ibm.com", IAM),
    ("private.us-south.ml.cloud.ibm.com", "private.api.dataplatform.cloud.ibm.com", IAM),
    ("eu-de.ml.cloud.ibm.com", "api.eu-de.dataplatform.cloud.ibm.com", IAM),
    ("private.eu-de.ml.cloud.ibm.com", "private.api.eu-de.dataplatform.cloud.ibm.com", IAM),
    ("eu-gb.ml.cloud.ibm.com", "api.eu-gb.dataplatform.cloud.ibm.com", IAM),
    ("private.eu-gb.ml.cloud.ibm.com", "private.api.eu-gb.dataplatform.cloud.ibm.com", IAM),
    ("jp-tok.ml.cloud.ibm.com", "api.jp-tok.dataplatform.cloud.ibm.com", IAM),
    ("private.jp-tok.ml.cloud.ibm.com", "private.api.jp-tok.dataplatform.cloud.ibm.com", IAM),
    ("au-syd.ml.cloud.ibm.com", "api.au-syd.dai.cloud.ibm.com", IAM),
    ("private.au-syd.ml.cloud.ibm.com", "private.api.au-syd.dai.cloud.ibm.com", IAM),
    ("ca-tor.ml.cloud.ibm.com", "api.ca-tor.dai.cloud.ibm.com", IAM),
    ("private.ca-tor.ml.cloud.ibm.com", "private.api.ca-tor.dai.cloud.ibm.com", IAM),
    ("ap-south-1.aws.wxai.ibm.com", "api.ap-south-1.aws.data.ibm.com", AWS),
    ("private.ap-south-1.aws.wxai.ibm.com", "api.ap-south-1.aws.data.ibm.com", AWS),
    ("us-east-1.aws.wxai.ibm.com", "api.us-east-1.aws.data.ibm.com", AWS),
    ("private.us-east-1.aws.wxai.ibm.com", "api.us-east-1.aws.data.ibm.com", AWS),
    ("wxai.ibmforusgov.com", "api.dai.ibmforusgov.com", GOV),
    ("private.internal.wxai.ibmforusgov.com", "internal.api.dai.ibmforusgov.com", GOV),
    ("wxai.prep.ibmforusgov.com", "api.dai.prep.ibmforusgov.com", GOV_PREP),
    ("private.internal.wxai.prep.ibmforusgov.com", "internal.api.dai.prep.ibmforusgov.com", GOV_PREP),
    ("yp-qa.ml.cloud.ibm.com", "api.dataplatform.test.cloud.ibm.com", IAM),
    ("private.yp-qa.ml.cloud.ibm.com", "private.api.dataplatform.test.cloud.ibm.com", IAM),
    ("yp-cr.ml.cloud.ibm.com", "api.dataplatform.test.cloud.ibm.com", IAM),
    ("private.yp-cr.ml.cloud.ibm.com", "private.api.dataplatform.test.cloud.ibm.com", IAM),
    ("wxai-qa.ml.cloud.ibm.com", "api.dai.test.cloud.ibm.com", IAM),
    ("private.wxai-qa.ml.cloud.ibm.com", "private.api.dai.test.cloud.ibm.com", IAM),
    ("wml-mcsp-dev.ml.test.cloud.ibm.com", "api.dai.dev.cloud.ibm.com", IAM_TEST),
    ("private.wml-mcsp-dev.ml.test.cloud.ibm.com", "private.api.dai.dev.cloud.ibm.com", IAM_TEST),
    ("wml-fvt.ml.test.cloud.ibm.com", "api.dataplatform.dev.cloud.ibm.com", IAM_TEST),
    ("private.wml-fvt.ml.test.cloud.ibm.com", "private.api.dataplatform.dev.cloud.ibm.com", IAM_TEST),
    ("us-south.ml.test.cloud.ibm.com", "api.dataplatform.dev.cloud.ibm.com", IAM_TEST),
    ("private.us-south.ml.test.cloud.ibm.com", "private.api.dataplatform.dev.cloud.ibm.com", IAM_TEST),
    ("dev.aws.wxai.ibm.com", "api.dev.aws.data.ibm.com", AWS_TEST),
    ("private.dev.aws.wxai.ibm.com", "api.dev.aws.data.ibm.com", AWS_TEST),
    ("test.aws.wxai.ibm.com", "api.test.aws.data.ibm.com", AWS_TEST),
    ("private.test.aws.wxai.ibm.com", "api.test.aws.data.ibm.com", AWS_TEST),
]


@pytest.mark.parametrize(("ml", "platform", "token"), ROWS)
def test_each_row(ml: str, platform: str, token: str) -> None:
    found = hosts.hosts_of(f"https://{ml}")
    assert (found.ml, found.platform, found.token) == (f"https://{ml}", f"https://{platform}", token)


def test_no_row_is_missing() -> None:
    assert {row.ml.removeprefix("https://") for row in hosts.TABLE} == {ml for ml, _, _ in ROWS}


@pytest.mark.parametrize(
    ("url", "token"),
    [
        (
            "https://wxai.ibmforusgov.com",
            "https://account-iam.awsg.usge1.private.platform.ibmforusgov.com/api/2.0/apikeys/token",
        ),
        (
            "https://private.internal.wxai.prep.ibmforusgov.com",
            "https://account-iam.awsg.usge1.private.platform.prep.ibmforusgov.com/api/2.0/apikeys/token",
        ),
        ("https://us-south.ml.cloud.ibm.com", IAM),
        ("https://us-east-1.aws.wxai.ibm.com", AWS),
    ],
)
def test_private_token_hosts_of_govcloud(url: str, token: str) -> None:
    assert Connection(url=url, api_key="k", use_private_token_url=True).hosts.token == token


@pytest.mark.parametrize(
    ("region", "url"),
    [
        ("us-south", "https://us-south.ml.cloud.ibm.com"),
        ("Frankfurt", "https://eu-de.ml.cloud.ibm.com"),
        (" london ", "https://eu-gb.ml.cloud.ibm.com"),
        ("TOKYO", "https://jp-tok.ml.cloud.ibm.com"),
        ("sydney", "https://au-syd.ml.cloud.ibm.com"),
        ("toronto", "https://ca-tor.ml.cloud.ibm.com"),
        ("mumbai", "https://ap-south-1.aws.wxai.ibm.com"),
        ("us-east-1", "https://us-east-1.aws.wxai.ibm.com"),
    ],
)
def test_regions_by_id_and_by_city(region: str, url: str) -> None:
    assert hosts.region_url(region) == url
    assert Connection(region=region, api_key="k").url == url
    assert Connection(url=region, api_key="k").url == url  # a region where the URL belongs is understood


def test_an_unknown_region_names_the_nearest() -> None:
    with pytest.raises(ConfigurationError, match="'eu-de'") as caught:
        hosts.region_url("eu-dee")
    assert (caught.value.field, caught.value.env) == ("region", "WATSONX_REGION")
    assert str(caught.value).startswith("region (WATSONX_REGION): 'eu-dee' is not a region of watsonx.ai. Did you mean")
    assert str(caught.value).endswith("for your own installation give url (WATSONX_URL)")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("https://us-south.ml.cloud.ibm.com/", "https://us-south.ml.cloud.ibm.com"),
        ("  https://us-south.ml.cloud.ibm.com  ", "https://us-south.ml.cloud.ibm.com"),
        ("us-south.ml.cloud.ibm.com", "https://us-south.ml.cloud.ibm.com"),
        ("HTTPS://US-South.ML.cloud.ibm.com", "https://us-south.ml.cloud.ibm.com"),
        ("https://us-south.ml.cloud.ibm.com:443", "https://us-south.ml.cloud.ibm.com"),
        ("https://us-south.ml.cloud.ibm.com/ml", "https://us-south.ml.cloud.ibm.com"),
        ("https://us-south.ml.cloud.ibm.com/ml/v1/text/chat?version=2024-03-14", "https://us-south.ml.cloud.ibm.com"),
        ("https://us-south.ml.cloud.ibm.com/ml/gateway/v1", "https://us-south.ml.cloud.ibm.com"),
        ("https://cpd.example.com/v2/spaces#x", "https://cpd.example.com"),
        ("https://cpd.example.com/zen/", "https://cpd.example.com/zen"),
        ("https://cpd.example.com/zen/ml/v1/text", "https://cpd.example.com/zen"),
        ("https://cpd.example.com:31843", "https://cpd.example.com:31843"),
        ("http://localhost:8080/", "http://localhost:8080"),
        ("http://127.0.0.1:80", "http://127.0.0.1"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("localhost:8080", "https://localhost:8080"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
    ],
)
def test_urls_are_normalised(given: str, expected: str) -> None:
    assert hosts.base_url(given) == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "https://",
        "https:///ml/v1",
        "ftp://us-south.ml.cloud.ibm.com",
        "https://us-south.ml .cloud.ibm.com",
        "https://host:port",
        "https://host:99999",
        "https://[::1",
        "https://ho\x00st",
        "https://exa%mple.com",
        "https://a..b",
        "https://" + "a" * 70_000 + ".com",
        "https://-\u200b-",
    ],
)
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="url") as caught:
        hosts.base_url(url)
    assert (caught.value.field, caught.value.env) == ("url", "WATSONX_URL")


def test_a_url_with_a_password_is_refused_and_not_shown() -> None:
    for url in ("https://me:hunter2@cpd.example.com", "https://me:hunter2@cpd.example.com:x", "https://key:hunter2"):
        with pytest.raises(ConfigurationError) as caught:
            hosts.base_url(url)
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://us-south.ml.cloud.ibm.com", "http://10.0.0.7:8080", "http://localhost.evil.com"]
)
def test_plain_http_is_for_this_machine(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"plain http.*or allow_http=True \(WATSONX_ALLOW_HTTP=true\)"):
        hosts.base_url(url)
    with pytest.raises(ConfigurationError, match="plain http"):
        Connection(url="https://cpd.example.com", username="u", api_key="k", auth_url=url)
    assert hosts.base_url(url, allow_http=True) == url


def test_plain_http_to_a_cloud_host_says_https() -> None:
    with pytest.raises(ConfigurationError, match="https"):
        Connection(url="http://us-south.ml.cloud.ibm.com", api_key="k", allow_http=True)


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("https://api.dataplatform.cloud.ibm.com", "https://us-south.ml.cloud.ibm.com"),
        ("https://api.eu-de.dataplatform.cloud.ibm.com/wx", "https://eu-de.ml.cloud.ibm.com"),
        ("https://api.ap-south-1.aws.data.ibm.com", "https://ap-south-1.aws.wxai.ibm.com"),
        ("https://eu-de.dataplatform.cloud.ibm.com", "https://eu-de.ml.cloud.ibm.com"),
        ("https://iam.cloud.ibm.com/identity/token", "region's URL"),
        ("https://cloud.ibm.com", "region's URL"),
        ("https://eu-dd.ml.cloud.ibm.com", "'eu-de'"),
        ("https://us-south.ml.cloud.ibm.com:8443", "port"),
    ],
)
def test_another_host_of_the_family_is_refused_with_the_right_one(url: str, advice: str) -> None:
    with pytest.raises(ConfigurationError, match="url") as caught:
        Connection(url=url, api_key="k")
    assert advice in str(caught.value)


def test_an_unknown_host_is_an_installation_of_the_software() -> None:
    found = hosts.hosts_of("https://cpd.example.com/zen")
    assert found == hosts.Hosts("https://cpd.example.com/zen", "https://cpd.example.com/zen", None, "software")


def test_a_platform_url_makes_an_unknown_host_a_cloud_one() -> None:
    connection = Connection(
        url="https://new-region.ml.cloud.ibm.com", platform_url="api.new-region.dai.cloud.ibm.com/wx", api_key="k"
    )
    assert connection.hosts.cloud == "ibm"
    assert connection.hosts.platform == "https://api.new-region.dai.cloud.ibm.com"
    assert connection.hosts.token == IAM


def test_auth_url_keeps_its_path() -> None:
    connection = Connection(region="us-south", api_key="k", auth_url="https://iam.example.com/identity/token/")
    assert connection.hosts.token == "https://iam.example.com/identity/token"
    bare = Connection(region="us-south", api_key="k", auth_url="iam.example.com")
    assert bare.hosts.token == "https://iam.example.com"


@pytest.mark.parametrize("host", ["localhost", "wx.localhost", "127.0.0.1", "127.8.9.10", "::1"])
def test_loopback(host: str) -> None:
    assert hosts.is_loopback(host)


@pytest.mark.parametrize("host", ["localhost.example.com", "0.0.0.0", "10.0.0.1", "notlocalhost", ""])
def test_not_loopback(host: str) -> None:
    assert not hosts.is_loopback(host)


@given(st.one_of(st.text(), st.from_regex(r"https?://[^/]{1,40}(:[0-9]{0,6})?(/.*)?", fullmatch=True)))
def test_any_text_is_a_url_httpx_takes_or_a_clear_refusal(text: str) -> None:
    try:
        url = hosts.base_url(text, allow_http=True)
    except ConfigurationError:
        return
    assert hosts.base_url(url, allow_http=True) == url
    parsed = httpx.URL(url + "/ml/v1/text/chat")
    assert parsed.scheme in ("http", "https")
    assert parsed.host
    assert not parsed.userinfo
    assert str(parsed).startswith(url.split("//")[0])
