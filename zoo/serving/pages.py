"""Start page with the models, their samples and signatures, and an example of a request."""

import json
import shlex
from html import escape
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, HTMLResponse

from zoo.serving import reading

SAMPLES = "samples.png"
PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>zoo</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body {{ font: 16px/1.5 sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em }}
img {{ max-width: 100%; image-rendering: pixelated }}
pre, table {{ overflow-x: auto; background: #f4f4f4; padding: .5em }}
td {{ padding-right: 2em; font-family: monospace }}
</style></head><body>
<h1>zoo</h1>
<p>Generative models with TF Serving's REST API and the Open Inference Protocol:
<a href="docs">interactive documentation</a>, <a href="redoc">reference</a>,
<a href="openapi.json">OpenAPI</a>, <a href="metrics">metrics</a>.</p>
{}
</body></html>"""


def index(models, url: str) -> str:
    """Returns the start page as HTML.

    Args:
        models: The models of the server.
        url: Address of the server.
    """
    return PAGE.format("\n".join(_section(model, url) for model in models))


def _section(model, url: str) -> str:
    name, card = escape(model.name), model.card
    sheet = ""
    if (model.folder / SAMPLES).is_file():
        sheet = f'<img src="samples/{quote(model.name, safe="")}.png" alt="Samples of {name}">'
    rows = "".join(
        f"<tr><td>{escape(signature)}</td><td>{_tensors(definition.inputs)}</td>"
        f"<td>{_tensors(definition.outputs)}</td></tr>"
        for signature, definition in sorted(model.signatures.items())
    )
    shape = "×".join(map(str, card.image_shape))
    family = escape(f"{card.family} on {card.trained_on}" if card.dataset else card.family)
    return f"""<h2>{name}</h2>
<p>{family}, images of {shape}, version {model.version}, at most {model.rows} rows in a request.</p>
{sheet}
<table><tr><th>signature</th><th>inputs</th><th>outputs</th></tr>{rows}</table>
<pre>{escape(_command(model, url))}</pre>"""


def _tensors(infos) -> str:
    tensors = ((name, *reading.specification(info)) for name, info in sorted(infos.items()))
    described = (
        f"{name} {'string' if kind.kind == 'O' else kind}[{', '.join(['n', *map(str, shape[1:])])}]"
        for name, kind, shape in tensors
    )
    return escape(", ".join(described))


def _command(model, url: str) -> str:
    """Returns a command line that requests one image. Python writes the lists of a tensor."""
    values = {}
    for name, info in sorted(model.signatures[reading.DEFAULT].inputs.items()):
        kind, shape = reading.specification(info)
        values[name] = "0" if kind.kind == "i" else "0.5"
        for size in reversed(shape[1:]):
            values[name] = f"[{values[name]}] * {size}"
        if name == "condition" and model.card.attributes:
            first = {key: names[0] for key, names in model.card.attributes.items()}
            values[name] = json.dumps(first)
    row = ", ".join(f'"{name}": {value}' for name, value in values.items())
    path = shlex.quote(f"{url}v1/models/{quote(model.name, safe='')}:predict")
    body = f'{{"instances": [{{{row}}}]}}'
    if "*" not in row:
        return f"curl -d {shlex.quote(body)} {path}"
    program = f"import json; print(json.dumps({body}))"
    return f"python3 -c {shlex.quote(program)} | curl -d @- {path}"


def routes(find, models) -> APIRouter:
    """Returns the routes of the start page and of the sample images.

    Args:
        find: Function that returns the model of a name and a version, or raises ``Refused``.
        models: The models of the server.
    """
    router = APIRouter(include_in_schema=False)

    async def start(request: Request) -> HTMLResponse:
        return HTMLResponse(index(models, str(request.base_url)))

    async def samples(name: str) -> FileResponse:
        return FileResponse(find(name, None).folder / SAMPLES)

    router.add_api_route("/", start)
    router.add_api_route("/samples/{name}.png", samples)
    return router
