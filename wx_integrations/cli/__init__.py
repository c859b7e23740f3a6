"""The `wx` command."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; says which extra is missing when it cannot."""
    try:
        try:
            from wx_integrations.cli.app import app
            from wx_integrations.cli.guard import show_the_rest_escaped
        except ModuleNotFoundError as error:
            if error.name is None or error.name.startswith("wx_integrations"):
                raise
            sys.exit(f"wx needs {error.name}: pip install 'wx-integrations[cli]'")
        show_the_rest_escaped()
        app()
    except KeyboardInterrupt:  # while modules are loaded
        sys.exit(130)
