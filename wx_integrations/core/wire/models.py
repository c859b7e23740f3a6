"""The model list.

Source: watsonx.ai API reference, "Foundation model specs".
"""

from wx_integrations.core.wire.shapes import Received


class ModelFunction(Received):
    id: str


class ModelLimits(Received):
    max_sequence_length: int | None = None
    max_output_tokens: int | None = None
    embedding_dimension: int | None = None


class LifecycleStage(Received):
    """A stage ("available", "deprecated", "constricted", "withdrawn") and when it starts."""

    id: str
    label: str | None = None
    start_date: str | None = None
    alternative_model_ids: list[str] | None = None
    url: str | None = None


class ModelSpec(Received):
    model_id: str
    label: str | None = None
    provider: str | None = None
    source: str | None = None
    short_description: str | None = None
    long_description: str | None = None
    input_tier: str | None = None
    output_tier: str | None = None
    number_params: str | None = None
    functions: list[ModelFunction] | None = None
    task_ids: list[str] | None = None
    model_limits: ModelLimits | None = None
    lifecycle: list[LifecycleStage] | None = None
    tech_preview: bool | None = None


class Href(Received):
    href: str


class ModelSpecsPage(Received):
    """A page of the model list; the last one has no `next`."""

    total_count: int | None = None
    limit: int | None = None
    first: Href | None = None
    next: Href | None = None
    resources: list[ModelSpec] = []
