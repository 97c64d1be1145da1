"""The OpenAPI document of one server: its own labels and limits are in it."""

from typing import Any

from edgegen.codec import Codec
from edgegen.runtime.request import LARGEST
from edgegen.serve.asked import DEFAULT_FLOWS, MOST_LABELS, MOST_WEIGHT
from edgegen.serve.body import FORMATS
from edgegen.serve.settings import Settings

_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string", "description": "What is wrong, in a sentence."}},
}


def document(codec: Codec, settings: Settings) -> dict[str, Any]:
    """OpenAPI 3.1 for what app.py answers."""
    names = [label.name for label in codec.labels]
    flows = {
        "operationId": "generateFlows",
        "summary": "Labelled flows, streamed as they are made",
        "description": "The same seed gives the same flows, whatever else the server does. Without one, the answer's "
        "header x-edgegen-seed says which was taken.",
        "requestBody": {"content": {"application/json": {"schema": _asked(names, codec, settings)}}},
        "responses": {
            "200": {
                "description": "One flow a line, or a capture.",
                "headers": {"x-edgegen-seed": {"schema": {"type": "string"}}},
                "content": {media: {"schema": {"type": "string"}} for media in FORMATS.values()},
            },
            "408": _error("The body did not come in time."),
            "413": _error("The body is too long."),
            "422": _error("What is asked for makes no sense."),
            "429": _error("As many requests as this server takes are under way; Retry-After says when to come again."),
            "500": _error("The flows cannot be generated."),
            "503": _error("No flow was made in the time that a request may take; Retry-After says when to come again."),
        },
    }
    paths = {
        "/v1/flows": {"post": flows},
        "/v1/models": {"get": _get("listModels", "What can be asked for", {"type": "object"})},
        "/metrics": {"get": _get("metrics", "Counters for Prometheus", {"type": "string"}, "text/plain")},
        "/healthz": {"get": _get("health", "Whether the process lives", {"type": "object"})},
        "/readyz": {"get": _get("ready", "Whether requests are welcome", {"type": "object"})},
    }
    paths["/readyz"]["get"]["responses"]["503"] = {"description": "The server is about to stop."}
    made: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "edgegen", "version": "1", "description": "Realistic labelled network flows."},
        "paths": paths,
    }
    if settings.token:
        made["components"] = {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}}
        for path, methods in paths.items():
            for method in methods.values():
                if path not in ("/healthz", "/readyz"):
                    method["security"] = [{"token": []}]
                    method["responses"]["401"] = _error("The bearer token is missing or wrong.")
    return made


def _asked(names: list[str], codec: Codec, settings: Settings) -> dict[str, Any]:
    label = {"type": "string", "enum": names}
    weight = {"type": "integer", "minimum": 1, "maximum": MOST_WEIGHT}
    number = {"type": "integer", "minimum": 0, "maximum": LARGEST}
    return {
        "type": "object",
        "additionalProperties": False,
        "not": {"required": ["label", "weights"]},
        "properties": {
            "n": {
                "type": "integer",
                "minimum": 1,
                "maximum": settings.most_flows,
                "default": min(DEFAULT_FLOWS, settings.most_flows),
            },
            "label": {
                "anyOf": [label, {"type": "array", "items": label, "minItems": 1, "maxItems": MOST_LABELS}],
                "description": "In turn.",
            },
            "weights": {
                "type": "object",
                "properties": dict.fromkeys(names, weight),
                "additionalProperties": False,
                "minProperties": 1,
                "description": "How often each label has its turn; in the place of label.",
            },
            "seed": number,
            "first": number
            | {
                "default": 0,
                "maximum": LARGEST - settings.most_flows,
                "description": "Number of the first flow of the seed.",
            },
            "temperature": {
                "anyOf": [{"const": 0}, {"type": "number", "minimum": 0.01, "maximum": 100}],
                "default": 1,
                "description": "0 for the likeliest packets.",
            },
            "min_packets": {"type": "integer", "minimum": 1, "maximum": codec.max_packets, "default": 1},
            "format": {"type": "string", "enum": list(FORMATS), "default": "jsonl"},
        },
    }


def _error(description: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": _ERROR}}}


def _get(operation: str, summary: str, schema: dict[str, Any], media: str = "application/json") -> dict[str, Any]:
    answer = {"description": summary, "content": {media: {"schema": schema}}}
    return {"operationId": operation, "summary": summary, "responses": {"200": answer}}
