"""Why our traffic differs from that of other clients: every difference has one of these reasons."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from tests.oracle.traffic import REQUESTS, RESULT, Difference

IDENTITY = "says who asks"
NEGOTIATION = "says what it can read"
CHECKS = "checks beforehand"
UNKNOWN = "not in the API reference"
DEFAULTS = "a default in so many words"
LOST = "lost by theirs"
TOKENS = "tokens"
TROUBLE = "when something goes wrong"
ENDPOINT = "another way to the same end"
CONTENT = "the same in other words"
RECURRING = (IDENTITY, NEGOTIATION, CHECKS)
"""Kinds that are about every call; the report has them once for each client."""


@dataclass(frozen=True)
class Reason:
    """A reason and the differences it is for; patterns must match the whole text.

    Attributes:
        kind: what kind of difference it is.
        text: the reason, as the report shows it.
        client, call: of the witness.
    """

    kind: str
    text: str
    field: str
    request: str = ".*"
    theirs: str = ".*"
    ours: str = ".*"
    client: str = ".*"
    call: str = ".*"

    def covers(self, client: str, call: str, difference: Difference) -> bool:
        """Whether it is the reason of a difference."""
        pairs = (
            (self.client, client),
            (self.call, call),
            (self.request, difference.request),
            (self.field, difference.field),
            (self.theirs, difference.theirs),
            (self.ours, difference.ours),
        )
        return all(re.fullmatch(pattern, text, re.DOTALL) for pattern, text in pairs)


_REQUESTS, _RESULT = re.escape(REQUESTS), re.escape(RESULT)
_CHAT = r"POST /ml/v1/(deployments/.*/)?text/chat(_stream)?"
_GENERATION = r"POST /ml/v1/text/generation(_stream)?"

REASONS = (
    # ---------------------------------------------------------------- headers and query
    Reason(IDENTITY, "Our own name; theirs is the SDK's, or the HTTP library's for tokens.", "header.user-agent"),
    Reason(
        IDENTITY,
        "The version date. Ours is the one that the API reference calls active; `version=` sets another.",
        "query.version",
    ),
    Reason(
        NEGOTIATION,
        "JSON, or an event stream: the service goes by the path, but proxies and gateways go by this.",
        "header.accept",
    ),
    Reason(NEGOTIATION, "A request without a body has no content type.", "header.content-type", "GET .*", ours="-"),
    Reason(
        TOKENS,
        "A client id and secret (`bx:bx`) that the exchange of an API key does not need; the other SDKs send none.",
        "header.authorization",
        "POST /identity/token",
        ours="-",
    ),
    Reason(
        UNKNOWN,
        "The model list is the region's; the API reference knows no project here.",
        "query.project_id",
        "GET /ml/v1/foundation_model_specs",
        ours="-",
    ),
    Reason(
        ENDPOINT,
        "One model is asked for by its id; theirs reads the whole list and looks for it.",
        "query.filters",
        "GET /ml/v1/foundation_model_specs",
        call="details",
    ),
    Reason(
        ENDPOINT,
        "Withdrawn models are read too, so that the error can say that the model is withdrawn, and since when.",
        "query.filters",
        "GET /ml/v1/foundation_model_specs",
        ours="-",
        call="unknown_model",
    ),
    # ---------------------------------------------------------------- requests that are not the call itself
    Reason(CHECKS, "Asks which release of the software this is; ours needs no answer.", _REQUESTS, "GET .*/version"),
    Reason(CHECKS, "Reads the project; a wrong one is refused by the call itself.", _REQUESTS, "GET /v2/projects/.*"),
    Reason(
        CHECKS,
        "Looks the model up in the model list; ours does when the service refuses the model, to say what may be meant.",
        _REQUESTS,
        "GET /ml/v1/foundation_model_specs",
        ours="[01]",
    ),
    Reason(CHECKS, "Reads the deployment; ours calls it.", _REQUESTS, "GET /ml/v4/deployments/.*", ours="0"),
    # ---------------------------------------------------------------- tokens
    Reason(
        TOKENS,
        "A token that lives for seconds is renewed before each request; ours is used until it runs out.",
        _REQUESTS,
        "POST /(identity/token|icp4d-api/v1/authorize)",
        ours="2",
        call="tokens_run_out",
    ),
    Reason(
        TOKENS,
        "A token that the service refuses is renewed once and the call repeated; theirs sends the refused one again.",
        _REQUESTS,
        ".*/(token|authorize|text/chat)",
        call="token_refused_early",
    ),
    Reason(
        TOKENS,
        "Ours answers with a new token; theirs raises.",
        _RESULT,
        "",
        theirs="raises .*",
        call="token_refused_early",
    ),
    Reason(
        TOKENS,
        "A given token is a bearer token, also when it is no JSON Web Token; the SDK calls one without dots `Basic`.",
        "header.authorization",
        theirs='"Basic .*',
        ours='"Bearer .*',
        call="opaque_token",
    ),
    # ---------------------------------------------------------------- trouble
    Reason(
        TROUBLE,
        "A refused password or key is not tried again; theirs sends it four times.",
        _REQUESTS,
        "POST /icp4d-api/v1/authorize",
        ours="1",
        call="wrong_key",
    ),
    Reason(
        TROUBLE,
        "Theirs stops at the check beforehand; ours sends the call and reads the refusal.",
        _REQUESTS,
        "POST /ml/v1/text/chat",
        theirs="0",
        ours="1",
        call="unknown_model(_unchecked)?|refused_token",
    ),
    Reason(
        TROUBLE,
        "A parameter that is unknown or out of its bounds is refused by name, and nothing is sent.",
        _REQUESTS,
        "POST /ml/v1/text/chat",
        theirs="1",
        ours="0",
        call="bad_parameter|misspelt_parameter",
    ),
    Reason(
        TROUBLE,
        "Ours tries again, as the service asks for with 429 and 503; litellm leaves that to its router.",
        f"{_REQUESTS}|{_RESULT}",
        "(POST /ml/v1/text/chat)?",
        client="litellm",
        call="overloaded_once|limited_once",
    ),
    Reason(
        TROUBLE,
        "The error's name: ours says what happened, in the same words for every adapter.",
        _RESULT,
        "",
        call="unknown_model(_unchecked)?|bad_parameter|misspelt_parameter|wrong_key|refused_token",
    ),
    # ---------------------------------------------------------------- tools
    Reason(
        DEFAULTS,
        "The model picks when tools are offered; of IBM's adapters one says so, the other does not.",
        r"body\.tool_choice_option",
        _CHAT,
        theirs='"auto"|-',
        ours='"auto"|-',
    ),
    Reason(
        ENDPOINT,
        "Any of the tools has to be called (`required`); theirs forces the first one.",
        r"body\.tool_choice(_option)?",
        _CHAT,
        client="llama-index-ibm",
        call="tools_required",
    ),
    Reason(
        DEFAULTS,
        "A turn that only calls tools has no content; the API reference lets it be left out.",
        r"body\.messages\[\d+\]\.content",
        _CHAT,
        theirs="null",
        ours="-",
    ),
    Reason(
        CONTENT,
        "The arguments of a call in the history, as JSON without spaces.",
        r"body\.messages\[\d+\]\.tool_calls\[\d+\]\.function\.arguments",
        _CHAT,
    ),
    # ---------------------------------------------------------------- chat
    Reason(
        LOST,
        "LangChain's `stop` is the API's `stop`; `stop_sequences` is text generation's, and chat ignores it.",
        r"body\.stop(_sequences)?",
        _CHAT,
        client="langchain-ibm",
        call="chat_stop",
    ),
    Reason(
        LOST,
        "The limit of tokens given to the constructor is the chat's limit too; theirs keeps it for text generation.",
        r"body\.max_tokens",
        _CHAT,
        theirs="-",
        client="llama-index-ibm",
        call="chat_with_a_limit",
    ),
    Reason(
        DEFAULTS,
        "`strict` is sent when it is given.",
        r"body\.response_format\.json_schema\.strict",
        _CHAT,
        theirs="false",
        ours="-",
    ),
    Reason(
        UNKNOWN,
        "The model is called `model_id`, and streams have a path of their own: the API reference has neither field.",
        r"body\.(model|stream)",
        ".* /ml/v1/.*",
        ours="-",
        client="litellm",
    ),
    Reason(
        LOST,
        "A stream says how many tokens it took only when asked.",
        r"body\.stream_options",
        "POST /ml/gateway/v1/chat/completions",
        theirs="-",
    ),
    Reason(
        ENDPOINT,
        "`complete` asks the chat API, which models of today are made for, unless `use_text_generation=True`.",
        _REQUESTS,
        "POST /ml/v1/text/(chat|generation)",
        client="llama-index-ibm",
        call="complete_by_default",
    ),
    # ---------------------------------------------------------------- text generation
    Reason(
        CONTENT,
        "litellm puts the prompt into the form of the model's chat; ours sends a prompt as it is.",
        f"body\\.input|{_RESULT}",
        f"({_GENERATION})?",
        theirs=r".*\[INST\].*",
        client="litellm",
    ),
    Reason(
        LOST,
        "litellm knows no prompt form for this model and sends none of the text; the service refuses that.",
        f"body\\.input|{_RESULT}",
        f"({_GENERATION})?",
        theirs="null|raises .*",
        client="litellm",
        call="generate_without_template",
    ),
    Reason(
        UNKNOWN,
        "Streams have a path of their own; the API reference has no such parameter.",
        r"body\.parameters\.stream",
        _GENERATION,
        ours="-",
    ),
    Reason(DEFAULTS, "No moderation is asked for.", r"body\.moderations", _GENERATION, theirs="{}", ours="-"),
    Reason(
        UNKNOWN,
        "`max_new_tokens` is text generation's; without it `return_tokens: false` is the default.",
        r"body\.parameters",
        "POST /ml/v1/text/tokenization",
        ours="-",
    ),
    # ---------------------------------------------------------------- embeddings and rerank
    Reason(DEFAULTS, "No parameter, no object.", r"body\.parameters", "POST .*/embeddings", theirs="{}", ours="-"),
    Reason(
        UNKNOWN,
        "litellm's own setting slips into the body; the API reference has no such parameter.",
        r"body\.parameters",
        "POST .*/embeddings",
        theirs='{"token": null}',
        ours="-",
    ),
    Reason(
        ENDPOINT,
        "A request takes up to 1000 texts; LlamaIndex's default of 10 makes 75 times as many.",
        f"{_REQUESTS}|body\\.inputs",
        "POST .*/embeddings",
        client="llama-index-ibm",
        call="embed_many",
    ),
    Reason(
        DEFAULTS,
        "The texts are not asked to be sent back.",
        r"body\.parameters\.return_options\.(inputs|query)",
        "POST .*/rerank",
        theirs="false",
        ours="-",
    ),
    Reason(
        ENDPOINT,
        "litellm lets the service send the texts back; ours has them.",
        r"body\.parameters",
        "POST .*/rerank",
        theirs='{"return_options": {"inputs": true}}',
        ours="-",
    ),
)


def reason_of(client: str, call: str, difference: Difference, reasons: Iterable[Reason] = REASONS) -> Reason | None:
    """Return the first reason that covers a difference."""
    return next((reason for reason in reasons if reason.covers(client, call, difference)), None)
