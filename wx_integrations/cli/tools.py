"""The tools of `wx chat --tools`: two that need nothing, and the service's utility agent tools."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from wx_integrations.cli.conversation import Offered
from wx_integrations.core.agent_tools import AgentTool, ServiceTools
from wx_integrations.core.errors import ConfigurationError
from wx_integrations.core.session import Session

_LONGEST = 500
_LARGEST_POWER = 1000
_OPERATORS: Mapping[type[ast.AST], Callable[..., int | float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}


def calculate(expression: str) -> str:
    """Compute an arithmetic expression of numbers, + - * / // % ** and parentheses.

    Raises:
        ValueError: it is something else, or too large.
    """
    if len(expression) > _LONGEST:
        raise ValueError("the expression is too long")
    try:
        value = _value(ast.parse(expression.strip(), mode="eval").body)
    except (SyntaxError, ArithmeticError, RecursionError, MemoryError) as error:
        raise ValueError(f"cannot compute {expression!r}: {error}") from None
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def _value(node: ast.AST) -> int | float:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
        return node.value
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        base, power = _value(node.left), _value(node.right)
        if abs(power) > _LARGEST_POWER or abs(base) > 10**9:
            raise ValueError("the power is too large")
        result: object = base**power
        if not isinstance(result, int | float) or not math.isfinite(result):
            raise ValueError("the result is not a number")
        return result
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_value(node.left), _value(node.right))
    if isinstance(node, ast.UnaryOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_value(node.operand))
    raise ValueError("only numbers and + - * / // % ** ( ) are computed")


def current_time() -> str:
    """Return the local date and time with the weekday."""
    return datetime.now().astimezone().strftime("%A, %Y-%m-%d %H:%M %z")


def _run_calculate(arguments: dict[str, Any]) -> str:
    expression = arguments.get("expression")
    return calculate(expression if isinstance(expression, str) else repr(expression))


LOCAL = (
    Offered(
        "calculate",
        "Compute an arithmetic expression exactly.",
        {
            "type": "object",
            "properties": {"expression": {"type": "string", "description": "Such as (2 + 3) * 4.5"}},
            "required": ["expression"],
        },
        _run_calculate,
    ),
    Offered(
        "current_time",
        "Tell the current date, weekday and time of the user.",
        {"type": "object", "properties": {}},
        lambda arguments: current_time(),
    ),
)
"""Tools that run here and need nothing."""


def of_service(session: Session) -> list[Offered]:
    """Return the service's tools that need no settings of their own.

    Raises:
        WatsonxError: the service has none, or cannot be reached.
    """
    connection = session.connection
    scope = {"project_id": connection.project_id, "space_id": connection.space_id}
    scoped = {name: value for name, value in scope.items() if value}
    source = ServiceTools(session)
    return [_offered(tool) for about in source.tools() if _is_ready(tool := AgentTool(about, source, scope=scoped))]


def _is_ready(tool: AgentTool) -> bool:
    try:
        tool.sent_config()
    except ConfigurationError:
        return False
    return True


def _offered(tool: AgentTool) -> Offered:
    return Offered(tool.name, tool.description, tool.parameters, lambda arguments: str(tool.run(arguments)))
