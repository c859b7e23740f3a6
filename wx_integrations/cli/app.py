"""The `wx` command line: demo, serve, doctor, models and chat."""

from __future__ import annotations

import json
import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from wx_integrations import __version__
from wx_integrations.cli.guard import filled, guarded
from wx_integrations.cli.screen import Screen
from wx_integrations.core.connection import ENVIRONMENT

app = typer.Typer(
    name="wx",
    help="IBM watsonx.ai: a demo, a local server of the same API, and tools to look at a service and talk to it.",
    epilog="Settings come from WATSONX_* variables. Exit codes: 0 done, 1 failed, 2 wrong usage, 130 stopped.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Small = Annotated[
    bool, typer.Option("--small", help="Use the small local model: 0.2 GB instead of 1.2 GB, and often wrong.")
]
Gguf = Annotated[Path | None, typer.Option("--gguf", help="Use this GGUF file as the local chat model.")]
Url = Annotated[str | None, typer.Option(help="The service's URL instead of WATSONX_URL.")]
Region = Annotated[str | None, typer.Option(help="A region such as us-south or eu-de, instead of a URL.")]
Project = Annotated[str | None, typer.Option("--project", help="The project's id instead of WATSONX_PROJECT_ID.")]
Space = Annotated[str | None, typer.Option("--space", help="The space's id instead of WATSONX_SPACE_ID.")]
Json = Annotated[bool, typer.Option("--json", help="Write JSON, for other programs.")]
Threads = Annotated[
    int, typer.Option(min=1, help="Threads of the local model; as many as there are cores is slower than one less.")
]


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False) -> None:
    if version:
        typer.echo(f"wx-integrations {__version__}")
        raise typer.Exit


@app.command()
def demo(
    docs: Annotated[Path | None, typer.Option(help="A folder of your own texts instead of the shipped ones.")] = None,
    question: Annotated[
        str | None, typer.Option(callback=filled, help="Your question instead of the prepared ones.")
    ] = None,
    small: Small = False,
    gguf: Gguf = None,
    threads: Threads = 1,
    model: Annotated[str | None, typer.Option(callback=filled, help="The chat model's id.")] = None,
    embedding_model: Annotated[str | None, typer.Option(callback=filled, help="The embedding model's id.")] = None,
    rerank_model: Annotated[str | None, typer.Option(callback=filled, help="The rerank model's id.")] = None,
) -> None:
    """Answer questions about documents with sources, then let an agent use a tool.

    With WATSONX_* variables set it runs on that service; without, it starts
    the local server with real models and stops it afterwards.
    """
    screen = Screen()

    def work() -> None:
        from wx_integrations.cli.demo import CHAT, EMBEDDING, RERANK, Choice, run
        from wx_integrations.cli.rag import load

        asked, found = question, load(docs)  # before a gigabyte of models is fetched for nothing
        if docs is not None and asked is None:
            if sys.stdin is None or not sys.stdin.isatty():
                raise typer.BadParameter("give --question as well", param_hint="--docs")
            asked = typer.prompt("Question")
        models = Choice(model or CHAT, embedding_model or EMBEDDING, rerank_model or RERANK)
        if _wants_service():
            screen.say("Using the service named by WATSONX_*.")
            run(screen, {}, found, models=models, question=asked)
            return
        from wx_integrations.cli.local import local_service

        with local_service(screen, small=small, gguf=gguf, threads=threads) as service:
            screen.say(f"No WATSONX_* set: running {service.chat_model} on this machine at {service.url}.")
            run(screen, service.settings, found, models=models, question=asked)

    guarded(screen, work)


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")] = 8765,
    brain: Annotated[
        str, typer.Option(help="What answers: 'local' (real models) or 'deterministic' (no weights).")
    ] = "local",
    small: Small = False,
    gguf: Gguf = None,
    threads: Threads = 1,
    tls: Annotated[bool, typer.Option("--tls", help="Serve https with a throw-away certificate.")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse what the API does not know, and tokens not issued here.")
    ] = False,
    public: Annotated[bool, typer.Option("--public", help="Allow an address beyond this machine.")] = False,
    first_token: Annotated[float, typer.Option(min=0, help="Seconds before the first token of each answer.")] = 0,
    per_token: Annotated[float, typer.Option(min=0, help="Seconds between tokens.")] = 0,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            help="Trouble, such as 503:10% or cut=3@text/chat_stream:x1; may be repeated. A wrong one shows the rules."
        ),
    ] = None,
    limit: Annotated[
        str | None, typer.Option(help="Refuse more requests than 8 (a second) or 120/60 with 429.")
    ] = None,
    journal: Annotated[
        Path | None, typer.Option(help="Append each request to this file, a JSON object a line, without secrets.")
    ] = None,
) -> None:
    """Serve the watsonx.ai REST API on this machine, for any client."""
    screen = Screen()

    def work() -> None:
        if brain not in ("local", "deterministic"):
            raise typer.BadParameter("choose 'local' or 'deterministic'", param_hint="--brain")
        from wx_integrations.cli.local import serve_forever
        from wx_integrations.cli.serving import Outfit, read_limit, read_rule

        rules = [read_rule(text) for text in fault or ()]
        with ExitStack() as stack:
            out = stack.enter_context(journal.open("a", encoding="utf-8")) if journal is not None else None
            outfit = Outfit((first_token, per_token), rules, read_limit(limit) if limit else None, out)
            serve_forever(
                screen,
                host=host,
                port=port,
                deterministic=brain == "deterministic",
                small=small,
                gguf=gguf,
                threads=threads,
                tls=tls,
                strict=strict,
                public=public,
                make=outfit.make,
            )

    guarded(screen, work)


@app.command()
def doctor(
    url: Url = None,
    region: Region = None,
    project: Project = None,
    space: Space = None,
    model: Annotated[str | None, typer.Option(callback=filled, help="The chat model to try.")] = None,
    embedding_model: Annotated[str | None, typer.Option(callback=filled, help="The embedding model to try.")] = None,
    deployment: Annotated[
        str | None, typer.Option(callback=filled, help="A deployment to try instead of a model.")
    ] = None,
    search_regions: Annotated[
        bool,
        typer.Option("--search-regions", help="Look for the project in IBM's other regions too; sends them the token."),
    ] = False,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds for each step of a request.")] = 30,
    as_json: Json = False,
) -> None:
    """Find out why a setup does not work: settings, network, token, project, models, one chat, one embedding.

    Says what to do about each failure. Never shows a secret. Exit code 1 if
    something failed.
    """
    screen = Screen()

    def work() -> None:
        from wx_integrations.cli.doctor import STEPS
        from wx_integrations.cli.examination import Case, examine, is_well, report

        settings = _given(url=url, region=region, project_id=project, space_id=space)
        case = Case(settings, os.environ, model, embedding_model, deployment, search_regions, timeout)
        findings = []
        for finding in examine(case, STEPS):
            findings.append(finding)
            if not as_json:
                screen.finding(finding.outcome, finding.step, finding.detail, finding.advice, finding.seconds)
        if as_json:
            typer.echo(json.dumps(report(findings), indent=2))
        if not is_well(findings):
            raise typer.Exit(1)

    guarded(screen, work)


@app.command()
def models(
    url: Url = None,
    region: Region = None,
    can: Annotated[
        list[str] | None,
        typer.Option(help="Only models with this capability: chat, tools, images, embedding, rerank, ...; repeatable."),
    ] = None,
    provider: Annotated[str, typer.Option(help="Only models of this provider.")] = "",
    search: Annotated[str, typer.Option(help="Only models with this in their id or description.")] = "",
    withdrawn: Annotated[bool, typer.Option("--withdrawn", help="Show withdrawn models too.")] = False,
    as_json: Json = False,
) -> None:
    """List the service's models with capabilities, context length and lifecycle; IBM Cloud tells everybody."""
    screen = Screen()

    def work() -> None:
        from wx_integrations.cli.models import as_data, chosen, every, lines_of, show

        rows = chosen(
            every(_given(url=url, region=region)), can=can or (), provider=provider, search=search, withdrawn=withdrawn
        )
        if as_json:
            typer.echo(json.dumps(as_data(rows), indent=2))
        elif screen.console.is_terminal:
            show(screen.console, rows)
        else:
            for line in lines_of(rows):
                typer.echo(line)
        if not rows and not as_json:
            screen.note("No model passes the filters.")

    guarded(screen, work)


@app.command()
def chat(
    question: Annotated[
        str | None, typer.Argument(callback=filled, help="One question; without it the conversation goes on.")
    ] = None,
    url: Url = None,
    region: Region = None,
    project: Project = None,
    space: Space = None,
    model: Annotated[str, typer.Option(callback=filled, help="The model's id.")] = "ibm/granite-4-h-small",
    deployment: Annotated[str | None, typer.Option(callback=filled, help="A deployment instead of a model.")] = None,
    system: Annotated[str | None, typer.Option(help="What the model is told first.")] = None,
    temperature: Annotated[float | None, typer.Option(min=0, max=2, help="0 for the likeliest answer.")] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="The longest answer, in tokens.")] = None,
    tools: Annotated[
        bool,
        typer.Option("--tools", help="Let the model compute, see the time, and use the service's utility agent tools."),
    ] = False,
) -> None:
    """Chat with a model; answers are streamed. Without a terminal each line of the input is a question."""
    screen = Screen()

    def work() -> None:
        from wx_integrations.cli.chat import answer, opened, piped_lines, talk, typed_lines

        settings = _given(url=url, region=region, project_id=project, space_id=space)
        parameters = _given(temperature=temperature, max_completion_tokens=max_tokens)
        conversation = opened(
            screen, settings, parameters, model=model, deployment=deployment, system=system, tools=tools
        )
        if question is not None:
            answer(screen, conversation, question)
        elif sys.stdin is not None and sys.stdin.isatty():
            screen.note(f"{conversation.target.name}; /help lists the commands")
            talk(screen, conversation, typed_lines(), interactive=True)
        else:
            talk(screen, conversation, piped_lines(sys.stdin), interactive=False)

    guarded(screen, work)


def _given(**settings: Any) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if value is not None}


def _wants_service() -> bool:
    """Whether the environment names a service or a login of one."""
    names = ("url", "region", "api_key", "token", "username", "zen_api_key")
    return any(os.environ.get(variable) for name in names for variable in ENVIRONMENT[name])
