"""The `wx` command line: demo and serve."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from wx_integrations import __version__
from wx_integrations.cli.screen import Screen
from wx_integrations.core.connection import ENVIRONMENT
from wx_integrations.core.errors import WatsonxError

app = typer.Typer(
    name="wx",
    help="IBM watsonx.ai for LangChain and LlamaIndex: a demo, and a local server of the same API.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Small = Annotated[bool, typer.Option("--small", help="Use the small local model (0.2 GB instead of 1.2 GB).")]
Gguf = Annotated[Path | None, typer.Option("--gguf", help="Use this GGUF file as the local chat model.")]
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
    question: Annotated[str | None, typer.Option(help="Your question instead of the prepared ones.")] = None,
    small: Small = False,
    gguf: Gguf = None,
    threads: Threads = 1,
    model: Annotated[str | None, typer.Option(help="The chat model's id.")] = None,
    embedding_model: Annotated[str | None, typer.Option(help="The embedding model's id.")] = None,
    rerank_model: Annotated[str | None, typer.Option(help="The rerank model's id.")] = None,
) -> None:
    """Answer questions about documents with sources, then let an agent use a tool.

    With WATSONX_* variables set it runs on that service; without, it starts
    the local server with real models and stops it afterwards.
    """
    screen = Screen()

    def work() -> None:
        from wx_integrations.cli.demo import CHAT, EMBEDDING, RERANK, Choice, run

        asked = question
        if docs is not None and asked is None:
            if not sys.stdin.isatty():
                raise typer.BadParameter("give --question as well", param_hint="--docs")
            asked = typer.prompt("Question")
        models = Choice(model or CHAT, embedding_model or EMBEDDING, rerank_model or RERANK)
        if _wants_service():
            screen.say("Using the service named by WATSONX_*.")
            run(screen, {}, models=models, folder=docs, question=asked)
            return
        from wx_integrations.cli.local import local_service

        with local_service(screen, small=small, gguf=gguf, threads=threads) as service:
            screen.say(f"No WATSONX_* set: running {service.chat_model} on this machine at {service.url}.")
            run(screen, service.settings, models=models, folder=docs, question=asked)

    _guarded(screen, work)


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
) -> None:
    """Serve the watsonx.ai REST API on this machine, for any client."""
    screen = Screen()

    def work() -> None:
        from wx_integrations.cli.local import serve_forever

        if brain not in ("local", "deterministic"):
            raise typer.BadParameter("choose 'local' or 'deterministic'", param_hint="--brain")
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
        )

    _guarded(screen, work)


def _wants_service() -> bool:
    """Whether the environment names a service or a login of one."""
    names = ("url", "region", "api_key", "token", "username", "zen_api_key")
    return any(os.environ.get(variable) for name in names for variable in ENVIRONMENT[name])


def _guarded(screen: Screen, work: Callable[[], Any]) -> None:
    """Run a command; errors a user can do something about become one line and exit code 1."""
    from wx_integrations.cli.local import USER_ERRORS

    try:
        work()
    except (WatsonxError, *USER_ERRORS) as error:
        screen.fail(f"wx: {error}")
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
