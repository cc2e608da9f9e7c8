"""The dashboard's files as browsers get them: what they may keep, what they ask for again, and what the page may do."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from api import pages
from api.compression import Compression
from api.origins import Origins
from api.pages import Pages
from api.problems import install_problems
from api.routes.pages import page_routes
from shared.settings import load_settings

PAGE = '<!doctype html><script type="module" src="./assets/index-C0ffee.js"></script>'
SCRIPT = "export const words = 'one two three';\n" * 100
PROXY, ELSEWHERE = "/fleet", "https://elsewhere.example"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    static = tmp_path / "static"
    (static / "assets").mkdir(parents=True)
    (static / "index.html").write_text(PAGE)
    (static / "report.html").write_text("to be filled in")
    (static / "favicon.svg").write_text("<svg/>")
    (static / ".built-from").write_text("0" * 64)
    (static / "assets" / "index-C0ffee.js").write_text(SCRIPT)
    (static / "assets" / "small-C0ffee.css").write_text("a{}")
    (tmp_path / "secret.txt").write_text("secret")
    return static


def client_of(folder: Path, root_path: str = "") -> httpx.AsyncClient:
    app = FastAPI(docs_url=None, redoc_url=None)
    app.include_router(page_routes(Pages(folder)))
    install_problems(app)
    around = Origins(load_settings(cors_origins=(ELSEWHERE,))).around(Compression(app))
    transport = httpx.ASGITransport(around, root_path=root_path)
    return httpx.AsyncClient(transport=transport, base_url="http://gateway", headers={"Accept-Encoding": "identity"})


@pytest.fixture
async def client(folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(folder) as one:
        yield one


@pytest.mark.parametrize("path", ["/", "/index.html"])
async def test_the_page_is_asked_for_again_and_may_do_nothing_but_what_it_needs(
    client: httpx.AsyncClient, path: str
) -> None:
    answer = await client.get(path)
    assert (answer.status_code, answer.text) == (200, PAGE)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert policy.pop("img-src") == "'self' data: blob:"
    own = {"script-src", "style-src", "connect-src", "font-src", "manifest-src"}
    none = {"default-src", "base-uri", "form-action", "frame-ancestors"}
    assert policy == dict.fromkeys(own, "'self'") | dict.fromkeys(none, "'none'")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert "camera=()" in answer.headers["permissions-policy"]


async def test_what_has_its_hash_in_its_name_is_kept_for_ever(client: httpx.AsyncClient) -> None:
    answer = await client.get("/assets/index-C0ffee.js")
    assert (answer.status_code, answer.text) == (200, SCRIPT)
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["x-content-type-options"] == "nosniff"
    icon = await client.get("/favicon.svg")
    assert (icon.headers["content-type"], icon.headers["cache-control"]) == ("image/svg+xml", "no-cache")


@pytest.mark.parametrize("path", ["/", "/favicon.svg", "/assets/index-C0ffee.js"])
@pytest.mark.parametrize("encoding", ["gzip", "identity"])
async def test_what_is_known_is_not_sent_again(client: httpx.AsyncClient, path: str, encoding: str) -> None:
    client.headers["Accept-Encoding"] = encoding
    first = await client.get(path)
    for known in (first.headers["etag"], f'"other", W/{first.headers["etag"]}', "*"):
        again = await client.get(path, headers={"If-None-Match": known})
        assert (again.status_code, again.content) == (304, b"")
        for name in ("etag", "cache-control", "vary"):
            assert again.headers[name] == first.headers[name]
    assert (await client.get(path, headers={"If-None-Match": '"other"'})).status_code == 200


@pytest.mark.parametrize("path", ["/", "/assets/index-C0ffee.js"])
async def test_head_is_answered_as_get_without_its_body(client: httpx.AsyncClient, path: str) -> None:
    answer, head = await client.get(path), await client.head(path)
    assert (head.status_code, head.headers) == (200, answer.headers)


async def test_what_is_compressed_is_compressed_once(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed: list[bytes] = []
    pack: Callable[..., bytes] = gzip.compress

    def counted(content: bytes, *arguments: int, **options: int) -> bytes:
        packed.append(content)
        return pack(content, *arguments, **options)

    monkeypatch.setattr(pages.gzip, "compress", counted)
    plain = await client.get("/assets/index-C0ffee.js")
    client.headers["Accept-Encoding"] = "gzip"
    for _ in range(2):
        answer = await client.get("/assets/index-C0ffee.js")
        assert (answer.headers["content-encoding"], answer.text) == ("gzip", SCRIPT)
        assert int(answer.headers["content-length"]) < len(SCRIPT) / 5
        assert answer.headers["vary"] == plain.headers["vary"]
        assert "Accept-Encoding" in answer.headers["vary"]
        assert answer.headers["etag"] != plain.headers["etag"]
    assert packed == [SCRIPT.encode()]
    assert "content-encoding" not in (await client.get("/assets/small-C0ffee.css")).headers


@pytest.mark.parametrize(
    "path",
    [
        "/assets/gone-0ddba11.js",
        "/assets/",
        "/assets/%2e%2e/%2e%2e/secret.txt",
        "/assets/..%2f..%2fsecret.txt",
        "/assets/..%5c..%5csecret.txt",
        "/assets//etc/passwd",
        "/secret.txt",
        "/report.html",
        "/.built-from",
        "/assets/.built-from",
    ],
)
async def test_what_the_build_has_not_made_for_browsers_is_not_there(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert answer.headers["content-type"] == "application/problem+json"


async def test_nothing_but_reading_is_known(client: httpx.AsyncClient) -> None:
    for path in ("/", "/assets/index-C0ffee.js"):
        answer = await client.post(path)
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


async def test_it_works_below_a_path_and_for_pages_of_other_origins(folder: Path) -> None:
    async with client_of(folder, root_path=PROXY) as client:
        for path in (f"{PROXY}/", f"{PROXY}/assets/index-C0ffee.js", "/assets/index-C0ffee.js"):
            answer = await client.get(path, headers={"Origin": ELSEWHERE})
            assert answer.status_code == 200
            assert answer.headers["access-control-allow-origin"] == ELSEWHERE
            assert {"Accept-Encoding", "Origin"} <= set(answer.headers["vary"].split(", "))


async def test_a_gateway_without_a_page_says_so(tmp_path: Path) -> None:
    async with client_of(tmp_path / "none") as client:
        for path in ("/", "/index.html"):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
            assert "make dashboard" in answer.json()["detail"]
