"""The virtual environments of the contenders, one for each file in `requirements/`.

One each, because packages that lie beside each other change what the others
import, and because some pin versions that others refuse. They are kept in the
user's cache folder (`WX_BENCHMARKS_HOME` moves them) and made again when their
requirements change. This package is not installed in them: the checkout is put
on their path, so what is measured is always what is there.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]
REQUIREMENTS = Path(__file__).parent / "requirements"
SUITE = "suite"
"""The environment of the service and the plots."""


def home() -> Path:
    """Return the folder that the environments are kept in."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    base = Path(os.environ.get("WX_BENCHMARKS_HOME") or cache / "wx-integrations" / "benchmarks")
    return base / f"{sys.version_info.major}.{sys.version_info.minor}"


def python(name: str) -> str:
    """Return an environment's interpreter."""
    return str(home() / name / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))


def prepare(names: Iterable[str], *, again: bool = False) -> None:
    """Make the environments that are missing or whose requirements changed.

    Args:
        names: files of `requirements/`, without their suffix.
        again: make them new, with the newest versions.
    """
    for name in names:
        wanted = (REQUIREMENTS / f"{name}.txt").read_bytes()
        stamp, digest = home() / name / "requirements.sha256", hashlib.sha256(wanted).hexdigest()
        if not again and stamp.exists() and stamp.read_text() == digest:
            continue
        print(f"installing {home() / name}", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", home() / name], check=True)
        pip = [python(name), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
        subprocess.run([*pip, "-r", REQUIREMENTS / f"{name}.txt"], check=True)
        stamp.write_text(digest)


def variables(root: Path = ROOT) -> dict[str, str]:
    """Return the environment variables for measured processes: the usual ones without proxies and settings.

    Args:
        root: the folder with the package to measure; this suite is always the checkout's.
    """
    unwanted = ("WATSONX_", "WX_", "OPENAI_", "LANGCHAIN_", "LANGSMITH_", "LITELLM_")
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(unwanted) and not name.lower().endswith("_proxy") and not name.startswith("PYTHON")
    }
    return kept | {
        "PYTHONPATH": os.pathsep.join(dict.fromkeys((str(root), str(ROOT)))),
        "PYTHONHASHSEED": "0",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_LOG": "CRITICAL",
        "LANGSMITH_TRACING": "false",
    }


def versions(name: str) -> dict[str, str]:
    """Return what is installed in an environment."""
    command = [python(name), "-m", "pip", "list", "--format=json", "--disable-pip-version-check"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return {item["name"].lower().replace("_", "-"): item["version"] for item in json.loads(done.stdout)}
