"""What a test needs that hears the witnesses."""

from __future__ import annotations

import pytest

from tests.oracle.recording import has_witnesses

needs_witnesses = [
    pytest.mark.oracle,
    pytest.mark.skipif(not has_witnesses(), reason="ibm_watsonx_ai is not installed; set WX_ORACLE_PYTHON"),
]
