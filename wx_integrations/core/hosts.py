"""Which hosts serve a region: inference (ml), platform and token.

Source: the watsonx.ai API reference (endpoint URLs) for IBM Cloud's regions,
the official Python SDK's platform table for AWS, GovCloud and IBM's own test
systems. A host outside the table is a software installation (Cloud Pak for
Data), where one host serves everything.
"""

import difflib
import ipaddress
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

import httpx

from wx_integrations.core.errors import ConfigurationError

Cloud = Literal["ibm", "aws", "gov", "software", "loopback"]

IAM = "https://iam.cloud.ibm.com/identity/token"
IAM_TEST = "https://iam.test.cloud.ibm.com/identity/token"
AWS = "https://account-iam.platform.saas.ibm.com/api/2.0/apikeys/token"
AWS_TEST = "https://account-iam.platform.test.saas.ibm.com/api/2.0/apikeys/token"
GOV = "https://dai.ibmforusgov.com/api/rest/mcsp/apikeys/token"
GOV_PREP = "https://dai.prep.ibmforusgov.com/api/rest/mcsp/apikeys/token"
GOV_PRIVATE = "https://account-iam.awsg.usge1.private.platform.ibmforusgov.com/api/2.0/apikeys/token"
GOV_PREP_PRIVATE = "https://account-iam.awsg.usge1.private.platform.prep.ibmforusgov.com/api/2.0/apikeys/token"


class Hosts(NamedTuple):
    """The three base URLs of one place, without a trailing slash; `token` is a full URL.

    `token` is None where one host serves everything and the path depends on
    how the user logs in.
    """

    ml: str
    platform: str
    token: str | None
    cloud: Cloud
    token_private: str | None = None


def _ibm(region: str, platform: str) -> list[Hosts]:
    ml = f"{region}.ml.cloud.ibm.com"
    return [
        Hosts(f"https://{ml}", f"https://{platform}", IAM, "ibm"),
        Hosts(f"https://private.{ml}", f"https://private.{platform}", IAM, "ibm"),
    ]


def _test(ml: str, platform: str, token: str) -> list[Hosts]:
    return [
        Hosts(f"https://{ml}", f"https://{platform}", token, "ibm"),
        Hosts(f"https://private.{ml}", f"https://private.{platform}", token, "ibm"),
    ]


def _aws(region: str, token: str = AWS) -> list[Hosts]:
    # The private ml hosts have no platform host of their own in the official SDK's table.
    platform = f"https://api.{region}.aws.data.ibm.com"
    return [
        Hosts(f"https://{region}.aws.wxai.ibm.com", platform, token, "aws"),
        Hosts(f"https://private.{region}.aws.wxai.ibm.com", platform, token, "aws"),
    ]


TABLE: tuple[Hosts, ...] = (
    *_ibm("us-south", "api.dataplatform.cloud.ibm.com"),
    *_ibm("eu-de", "api.eu-de.dataplatform.cloud.ibm.com"),
    *_ibm("eu-gb", "api.eu-gb.dataplatform.cloud.ibm.com"),
    *_ibm("jp-tok", "api.jp-tok.dataplatform.cloud.ibm.com"),
    *_ibm("au-syd", "api.au-syd.dai.cloud.ibm.com"),
    *_ibm("ca-tor", "api.ca-tor.dai.cloud.ibm.com"),
    *_aws("ap-south-1"),
    *_aws("us-east-1"),
    Hosts("https://wxai.ibmforusgov.com", "https://api.dai.ibmforusgov.com", GOV, "gov", GOV_PRIVATE),
    Hosts(
        "https://private.internal.wxai.ibmforusgov.com",
        "https://internal.api.dai.ibmforusgov.com",
        GOV,
        "gov",
        GOV_PRIVATE,
    ),
    Hosts(
        "https://wxai.prep.ibmforusgov.com", "https://api.dai.prep.ibmforusgov.com", GOV_PREP, "gov", GOV_PREP_PRIVATE
    ),
    Hosts(
        "https://private.internal.wxai.prep.ibmforusgov.com",
        "https://internal.api.dai.prep.ibmforusgov.com",
        GOV_PREP,
        "gov",
        GOV_PREP_PRIVATE,
    ),
    *_test("yp-qa.ml.cloud.ibm.com", "api.dataplatform.test.cloud.ibm.com", IAM),
    *_test("yp-cr.ml.cloud.ibm.com", "api.dataplatform.test.cloud.ibm.com", IAM),
    *_test("wxai-qa.ml.cloud.ibm.com", "api.dai.test.cloud.ibm.com", IAM),
    *_test("wml-mcsp-dev.ml.test.cloud.ibm.com", "api.dai.dev.cloud.ibm.com", IAM_TEST),
    *_test("wml-fvt.ml.test.cloud.ibm.com", "api.dataplatform.dev.cloud.ibm.com", IAM_TEST),
    *_test("us-south.ml.test.cloud.ibm.com", "api.dataplatform.dev.cloud.ibm.com", IAM_TEST),
    *_aws("dev", AWS_TEST),
    *_aws("test", AWS_TEST),
)

_BY_ML = {hosts.ml: hosts for hosts in TABLE}
_NOT_ML = {hosts.platform: hosts.ml for hosts in reversed(TABLE)} | {
    hosts.platform.replace("//api.", "//", 1): hosts.ml for hosts in reversed(TABLE)
}

REGIONS: dict[str, str] = {
    "us-south": "https://us-south.ml.cloud.ibm.com",
    "eu-de": "https://eu-de.ml.cloud.ibm.com",
    "eu-gb": "https://eu-gb.ml.cloud.ibm.com",
    "jp-tok": "https://jp-tok.ml.cloud.ibm.com",
    "au-syd": "https://au-syd.ml.cloud.ibm.com",
    "ca-tor": "https://ca-tor.ml.cloud.ibm.com",
    "ap-south-1": "https://ap-south-1.aws.wxai.ibm.com",
    "us-east-1": "https://us-east-1.aws.wxai.ibm.com",
}
_CITIES = {
    "dallas": "us-south",
    "frankfurt": "eu-de",
    "london": "eu-gb",
    "tokyo": "jp-tok",
    "sydney": "au-syd",
    "toronto": "ca-tor",
    "mumbai": "ap-south-1",
}
# Everything from the first of these on belongs to an operation, not to the host.
_OPERATIONS = ("/ml/", "/wx/", "/v2/", "/identity/")
_IN_LABELS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_-")


def region_url(region: str) -> str:
    """Return the ml host of a region: an id ("eu-de") or its city ("frankfurt").

    Raises:
        ConfigurationError: no such region; names the nearest ones.
    """
    name = region.strip().lower()
    name = _CITIES.get(name, name)
    if name in REGIONS:
        return REGIONS[name]
    near = difflib.get_close_matches(name, [*REGIONS, *_CITIES], n=1)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    raise ConfigurationError(
        f"region (WATSONX_REGION): {region!r} is not a region of watsonx.ai",
        hint=f"{hint}Known: {', '.join(REGIONS)}; for your own installation give url (WATSONX_URL)",
        field="region",
        env="WATSONX_REGION",
    )


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def base_url(url: str, *, field: str = "url", env: str | None = "WATSONX_URL", allow_http: bool = False) -> str:
    """Return a URL's scheme, host and port, and a path in front of the operations if there is one.

    `https://eu-de.ml.cloud.ibm.com/ml/v1/text/chat?version=...` becomes
    `https://eu-de.ml.cloud.ibm.com`. A missing scheme means https.

    Raises:
        ConfigurationError: not an http(s) URL, credentials inside, or plain http beyond this machine.
    """
    text = url.strip()
    if "//" not in text:
        text = f"https://{text}"
    host, port, scheme, path = None, None, "", ""
    try:
        parts = urlsplit(text)
        if parts.username or parts.password:
            raise ConfigurationError(
                f"{field}: holds a user name or password", hint="Use username and password", field=field, env=env
            )
        scheme, port, path = parts.scheme, parts.port, parts.path
        host = _host_name(parts.hostname or "")
    except ConfigurationError:
        raise
    except ValueError:  # which may quote a password
        host = None
    if scheme not in ("https", "http") or not host or not path.isprintable() or len(path) > 2000:
        raise ConfigurationError(
            f"{field}: not an http(s) URL",
            hint=f"Give something like https://us-south.ml.cloud.ibm.com{f' ({env})' if env else ''}",
            field=field,
            env=env,
        )
    if scheme == "http" and not is_loopback(host) and not allow_http:
        raise ConfigurationError(
            f"{field}: plain http would send the token in the clear to {host}",
            hint="Use https, or allow_http=True (WATSONX_ALLOW_HTTP=true) if that network is yours",
            field=field,
            env=env,
        )
    shown = f"[{host}]" if ":" in host else host
    default_port = 443 if scheme == "https" else 80
    netloc = shown if port in (None, default_port) else f"{shown}:{port}"
    for operation in _OPERATIONS:
        path = f"{path}/".split(operation, 1)[0]
    return f"{scheme}://{netloc}{path.rstrip('/')}"


def _host_name(host: str) -> str:
    """Return a host's name or address as it goes over the wire; raises ValueError when it is neither."""
    if ":" in host:
        return str(ipaddress.IPv6Address(host))
    name = host if host.isascii() else host.encode("idna").decode()
    labels = name.removesuffix(".").split(".")
    if len(name) > 253 or not all(map(_is_label, labels)):
        raise ValueError("not a host name")
    try:
        _ = httpx.URL(f"https://{name}").host
    except httpx.InvalidURL as error:
        raise ValueError(str(error)) from None
    return name


def _is_label(label: str) -> bool:
    """Whether this is what stands between the dots of a host name, in lower case (RFC 1123; "_" is common)."""
    return 0 < len(label) < 64 and _IN_LABELS.issuperset(label) and "-" not in (label[0], label[-1])


def hosts_of(url: str, *, platform_url: str | None = None, token_url: str | None = None) -> Hosts:
    """Return the hosts that belong to a normalised ml URL.

    Args:
        url: as `base_url` returns it.
        platform_url: overrides the platform host; makes an unknown URL a cloud one, as in the official SDK.
        token_url: overrides the token URL.

    Raises:
        ConfigurationError: a platform or unknown cloud host where the ml host belongs.
    """
    parts = urlsplit(url)
    origin, host = f"{parts.scheme}://{parts.netloc}", parts.hostname or ""
    known = _BY_ML.get(origin)
    if known is None:
        _refuse_other_family(origin, host, platform_url)
        if is_loopback(host):
            known = Hosts(url, url, None, "loopback")
        elif platform_url:
            known = Hosts(url, platform_url, IAM, "ibm")
        else:
            known = Hosts(url, url, None, "software")
    return Hosts(known.ml, platform_url or known.platform, token_url or known.token, known.cloud, known.token_private)


def _refuse_other_family(origin: str, host: str, platform_url: str | None) -> None:
    if origin in _NOT_ML:
        raise _no_ml_host(
            f"{host} is the platform host, which serves no models", f"Use {_NOT_ML[origin]} (WATSONX_URL)"
        )
    if host == "cloud.ibm.com" or host.startswith("iam."):
        hint = "Use your region's URL, such as https://us-south.ml.cloud.ibm.com (WATSONX_URL)"
        raise _no_ml_host(f"{host} serves no models", hint)
    known = f"https://{host}"
    if known in _BY_ML:
        raise _no_ml_host(f"{host} is served over https at its usual port only", f"Use {known} (WATSONX_URL)")
    if host.endswith(".ml.cloud.ibm.com") and platform_url is None:
        region = host.removesuffix(".ml.cloud.ibm.com")
        near = difflib.get_close_matches(region.removeprefix("private."), REGIONS, n=1)
        suggestion = f"Did you mean {near[0]!r}? " if near else ""
        hint = f"{suggestion}If the region is new, give its platform_url as well"
        raise _no_ml_host(f"{region!r} is not a known region of IBM Cloud", hint)


def _no_ml_host(what: str, hint: str) -> ConfigurationError:
    """Return the refusal of a URL that is none of an ml host."""
    return ConfigurationError(f"url: {what}", hint=hint, field="url", env="WATSONX_URL")
