"""JSON documents."""

import json


def document(value) -> str:
    """Returns a JSON document, with null for NaN and the infinities, which JSON does not have."""
    finite = json.loads(json.dumps(value), parse_constant=lambda _: None)
    return json.dumps(finite, indent=1, ensure_ascii=False)
