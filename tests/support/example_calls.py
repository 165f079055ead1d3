"""Calls that the examples of the API's description make up, and what an honest server answers to them."""

from __future__ import annotations

import copy
from typing import Any, Final

from tests.support.description import Described, example_of, examples_of, resolved
from tests.support.operations import Method
from wavix_async import Operation
from wavix_async._http import find_id_field

FILE: Final = b"RIFF....WAVE"


def arguments(operation: Operation[Any], method: Method, described: Described) -> tuple[list[Any], dict[str, Any]]:
    """Return the ids, and the keywords by their names on the wire, that the examples make up."""
    ids = [example_of_parameter(each) for each in described.parameters if each["in"] == "path"]
    given = {each["name"]: example_of_parameter(each) for each in described.query}
    for body in examples_of(described.body)[:1]:
        given |= body[operation.wrap] if operation.wrap else body
    if described.form:
        for name, each in resolved(described.form["schema"])["properties"].items():
            given[name] = FILE if each.get("format") == "binary" else example_of(each)
        given["filename"] = "paper.pdf" if "papers" in operation.path else "call.wav"
    if operation.name == "DELETE /v1/numbers":
        given = {"ids": given["ids"][:1]}  # the API takes one of the two, and the method sends each id by itself
    elif operation.name == "POST /v1/numbers/papers":
        given["did_ids"] = [int(each) for each in given["did_ids"].split(",")]
    elif operation.name == "POST /v1/calls/{id}/collect":
        del given["prompt"]["say"]  # the API takes one of the two
    elif operation.name == "PUT /v3/10dlc/brands/{brand_id}":
        del given["stock_symbol"], given["stock_exchange"]  # the example is not of a listed company
    return ids, {name if name in method.keywords else f"{name}_": value for name, value in given.items()}


def example_of_parameter(parameter: Any) -> Any:
    (example, *_) = examples_of(parameter)
    return example


def truth(operation: Operation[Any], answer: Any, ids: list[Any], given: dict[str, Any]) -> Any:
    """Return the example of an answer with the ids and values of the request, which an honest server shows."""
    answer = copy.deepcopy(answer)
    if operation.name == "POST /v1/cdrs":
        answer["items"][0]["charge"] = "0.027"  # the description says "example"
    record = answer.get(operation.unwrap, answer) if isinstance(answer, dict) else answer
    records = record["items"] if operation.batch_ids and "items" in record else [record]
    for each in records if isinstance(record, dict) else ():
        id_field = find_id_field(operation)
        if id_field and ids:
            each[id_field] = ids[-1]
        if operation.method != "GET":
            each |= {
                name: in_form_of(each[name], value)
                for name, value in given.items()
                if name in each and not isinstance(value, bytes)
            }
    return answer


def in_form_of(shown: Any, given: Any) -> Any:
    """Return a value of the request in the form of an answer, which may have other keys."""
    if isinstance(shown, dict) and isinstance(given, dict):
        return {**shown, **{name: value for name, value in given.items() if name in shown}}
    if isinstance(shown, list) and isinstance(given, list) and shown and isinstance(shown[0], dict):
        return [{**shown[0], **each} for each in given]
    return given
