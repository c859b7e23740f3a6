"""What becomes of a command's errors: one line and an exit code, when a user can do something about them."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from typing import Any

import typer

from wx_integrations.cli.screen import Screen
from wx_integrations.core.errors import WatsonxError

FAILED, STOPPED = 1, 130
"""Exit codes; 2 is for wrong usage."""


def guarded(screen: Screen, work: Callable[[], Any]) -> None:
    """Run a command.

    Raises:
        typer.Exit: it failed, or was stopped at the keyboard; the screen tells why.
    """
    try:
        work()
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("wx_integrations"):
            raise
        screen.fail(f"wx: this command needs {error.name}: pip install 'wx-integrations[local]'")
        raise typer.Exit(FAILED) from None
    except BrokenPipeError:  # whoever read our output has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(FAILED) from None
    except (WatsonxError, OSError) as error:
        screen.fail(f"wx: {error}")
        raise typer.Exit(FAILED) from None
    except (KeyboardInterrupt, typer.Abort):  # Abort: at a prompt
        raise typer.Exit(STOPPED) from None
    except Exception as error:
        if not _is_users(error):
            raise
        screen.fail(f"wx: {error}")
        raise typer.Exit(FAILED) from None


def _is_users(error: Exception) -> bool:
    """Whether an error of the local service is one that a user can do something about."""
    local = sys.modules.get("wx_integrations.cli.local")
    return local is not None and isinstance(error, local.USER_ERRORS)


def filled(value: str | None) -> str | None:
    """Return an option's value.

    Raises:
        typer.BadParameter: it is given but empty, as an unset variable of a shell makes it, or no text.
    """
    if value is not None and not value.strip():
        raise typer.BadParameter("is empty")
    try:
        (value or "").encode()
    except UnicodeEncodeError:
        raise typer.BadParameter("is not UTF-8 text") from None
    return value


def show_the_rest_escaped() -> None:
    """Have characters that a terminal's encoding lacks shown as escapes, instead of an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
