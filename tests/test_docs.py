"""Tests of the documentation: its site opens without a network, and each snippet runs."""

import configparser
import itertools
import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import pytest

from tests.conftest import FIXTURE, ROOT
from tests.test_examples import parse
from zoo import cli, evaluation, recipes

DOCS = ROOT / "docs"
PAGES = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))
# Pages whose snippets run for more than a few seconds.
SLOW = (
    "extending/family.md",
    "extending/likelihood.md",
    "extending/objective.md",
    "extending/prior.md",
    "guides/deploy.md",
    "guides/evaluate.md",
    "guides/finetune.md",
    "guides/pictures.md",
    "guides/train.md",
    "ideas/flow.md",
    "ideas/variational.md",
)
# Lines that need minutes, the whole data sets or a server. They are parsed and not run.
PARSED = (
    "zoo serve",
    "zoo reproduce",
    "zoo train classifier_mnist",
    "zoo train dcgan_mnist --strategy",
)


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """Builds the site in strict mode and returns its folder."""
    root = tmp_path_factory.mktemp("docs")
    shutil.copy(ROOT / "zensical.toml", root)
    shutil.copytree(DOCS, root / "docs")
    (root / "zoo").symlink_to(ROOT / "zoo")
    command = [sys.executable, "-m", "zensical", "build", "--strict"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return root / "site"


class Page(HTMLParser):
    """Parses a page of the site.

    Attributes:
        loads: Addresses that a browser loads with the page.
        links: Addresses of ``<a>``.
        ids: Anchors of the page.
        text: Text outside of code and scripts.
    """

    HIDDEN = ("script", "style", "code", "pre")

    def __init__(self, path):
        super().__init__()
        self.loads, self.links, self.ids, self.text = [], [], set(), ""
        self._inside = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        """Collects the addresses and the anchors of a tag."""
        given = dict(attributes)
        self.ids.update(given[key] for key in ("id", "name") if given.get(key))
        if tag in self.HIDDEN:
            self._inside.append(tag)
        if tag == "a":
            self.links.append(given.get("href") or "")
        self.loads += [given[key] for key in ("src", "data", "poster") if given.get(key)]
        if tag == "link" and given.get("rel") in ("stylesheet", "icon", "preload", "preconnect"):
            self.loads.append(given["href"])

    def handle_endtag(self, tag):
        """Leaves a tag whose text is not collected."""
        if self._inside and self._inside[-1] == tag:
            self._inside.pop()

    def handle_data(self, data):
        """Collects text."""
        if not self._inside:
            self.text += data


@pytest.fixture(scope="session")
def pages(site):
    """Returns the parsed pages of the site, {path: Page}."""
    return {path: Page(path) for path in site.rglob("*.html") if path.name != "404.html"}


def test_the_guide_scales_the_batch_and_the_rates_of_a_recipe_as_it_says():
    text = (ROOT / "docs" / "guides" / "machines.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^zoo (train vae_mnist .* --set .*)$", text, re.MULTILINE)
    settings = dict(part.split("=", 1) for part in shlex.split(command) if "=" in part)
    recipe = recipes.named("vae_mnist")
    assert json.loads(settings["batch_size"]) == 8 * recipe.batch_size
    assert json.loads(settings["cycles"]) == [
        [epochs, pytest.approx(8**0.5 * rate, rel=0.05), changes]
        for epochs, rate, changes in recipe.cycles
    ]


def test_each_page_is_in_the_navigation():
    def files(entries):
        for entry in entries:
            for part in entry.values() if isinstance(entry, dict) else [entry]:
                yield from [part] if isinstance(part, str) else files(part)

    settings = tomllib.loads((ROOT / "zensical.toml").read_text())["project"]
    assert sorted(files(settings["nav"])) == PAGES


def test_the_site_loads_nothing_from_another_host(site, pages):
    assert len(pages) == len(PAGES)
    for path, page in pages.items():
        assert page.loads
        for address in page.loads:
            assert not urlsplit(address).netloc, f"{path} loads {address}"
        # The theme's script loads these from another host where a page uses them.
        assert "mermaid" not in path.read_text(encoding="utf-8")
        assert "glightbox" not in path.read_text(encoding="utf-8")
    for path in site.rglob("*.css"):
        for address in re.findall(
            r"url\(['\"]?([^)'\"]*)|@import ['\"]([^'\"]*)", path.read_text()
        ):
            assert not urlsplit("".join(address)).netloc, f"{path} loads {address}"


def test_each_link_within_the_site_leads_to_a_page_and_an_anchor(site, pages):
    for path, page in pages.items():
        for address in page.links + page.loads:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if target.is_dir():
                target /= "index.html"
            assert target.is_file(), f"{path} refers to {address}"
            if parts.fragment and target in pages and not parts.fragment.startswith("__"):
                assert unquote(parts.fragment) in pages[target].ids, f"{path} refers to {address}"


def test_each_formula_is_mathml(site, pages):
    for path, page in pages.items():
        assert "$" not in page.text, path
        assert "\\" not in page.text, path
    assert (site / "ideas" / "variational.html").read_text().count('display="block"') > 5


def test_the_page_of_the_command_line_has_each_command_and_option(site):
    text = re.sub(r"<[^>]+>", "", (site / "reference" / "cli.html").read_text(encoding="utf-8"))
    assert "Sentinel" not in text
    for name, command in cli.cli.commands.items():
        assert f"zoo {name}" in text
        for option in itertools.chain.from_iterable(each.opts for each in command.params):
            assert option in text or not option.startswith("-"), f"zoo {name} {option}"


def test_pictures_are_small_and_have_a_text():
    for path in DOCS.rglob("*.png"):
        assert path.stat().st_size < 60_000, path
    for name in PAGES:
        for text in re.findall(r"!\[(.*?)\]\(", (DOCS / name).read_text(encoding="utf-8")):
            assert len(text) > 20, f"{name}: {text}"


FENCE = re.compile(r"^```(\w+)(?: title=\"(.*?)\")?\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def snippets(name):
    """Returns (language, title, code) of each code block of a page, in order."""
    return FENCE.findall((DOCS / name).read_text(encoding="utf-8"))


def lines_of(code):
    """Returns the command lines of a shell block, with continued lines joined."""
    lines = code.replace("\\\n", " ").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


def run_line(line, monkeypatch):
    """Runs a command line of zoo in this process, or only parses it if it is one of PARSED."""
    words = shlex.split(line, comments=True)
    settings = list(itertools.takewhile(lambda word: re.match(r"[A-Z_]+=", word), words))
    program, *arguments = words[len(settings) :]
    assert program == "zoo", f"A shell block must run zoo alone: {line}"
    if line.startswith(PARSED):
        parse(line)
        return
    with monkeypatch.context() as context:
        for setting in settings:
            context.setenv(*setting.split("=", 1))
        with pytest.raises(SystemExit) as stopped:
            cli.main(arguments)
    assert not stopped.value.code, line


def has_code(name):
    """Returns whether a page has a snippet that can run."""
    return any(kind in ("python", "sh") and not title for kind, title, _ in snippets(name))


def marked(name):
    """Returns the page as a parameter, marked as nightly if it is slow."""
    return pytest.param(name, marks=pytest.mark.nightly) if name in SLOW else name


@pytest.mark.parametrize("name", [marked(name) for name in PAGES if has_code(name)])
def test_the_snippets_of_a_page_run_in_order(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TFDS_DATA_DIR", FIXTURE)
    metrics = dict(evaluation.METRICS)
    namespace = {"__name__": f"docs_{name.removesuffix('.md').replace('/', '_')}"}
    try:
        for kind, title, code in snippets(name):
            if title:
                continue
            if kind == "python":
                exec(compile(code, f"docs/{name}", "exec"), namespace)
            if kind == "sh":
                for line in lines_of(code):
                    run_line(line, monkeypatch)
    finally:  # A metric that a page adds belongs to that page alone.
        evaluation.METRICS.clear()
        evaluation.METRICS.update(metrics)


@pytest.mark.parametrize("name", SLOW)
def test_the_snippets_of_a_slow_page_are_parsed(name):
    for kind, title, code in snippets(name):
        if kind == "python" and not title:
            compile(code, f"docs/{name}", "exec")
        if kind == "sh":
            for line in lines_of(code):
                parse(line[line.index("zoo ") :])


QUOTED = [name for name in PAGES if any(title for _, title, _ in snippets(name))]


def without_space(text):
    """Removes white space: ruff formats a quotation by its own indentation."""
    return re.sub(r"\s+", "", text)


@pytest.mark.parametrize("name", QUOTED)
def test_code_with_the_title_of_a_file_is_a_part_of_that_file(name):
    """Compares without white space. A line "..." stands for lines that are left out."""
    for _, title, code in snippets(name):
        if title:
            source = without_space((ROOT / title).read_text(encoding="utf-8"))
            for part in re.split(r"^ *\.\.\.\n", code, flags=re.MULTILINE):
                assert without_space(part) in source, f"{title} does not contain:\n{part}"


def test_each_shell_block_runs_zoo_or_is_marked_as_text():
    for name in PAGES:
        for kind, _, code in snippets(name):
            assert kind in ("python", "sh", "text", "json", "yaml"), f"{name}: {kind}"
            if kind == "sh":
                for line in lines_of(code):
                    assert re.match(r"([A-Z_]+=\S+ )*zoo ", line), f"{name}: {line}"


def test_the_settings_list_what_the_build_needs():
    """Compares the packages of the extra ``docs`` with those of ``test``."""
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    extras = settings["options.extras_require"]
    assert set(extras["docs"].split()) <= set(extras["test"].split())


def test_no_page_names_a_folder_of_a_machine():
    for name in PAGES:
        text = (DOCS / name).read_text(encoding="utf-8")
        assert not re.search(r"(?<![\w.:])/(work|home|tmp|root)/", text), name
