"""A small Hugging Face Hub on loopback: what huggingface_hub itself asks of one, kept in memory.

Repositories with commits, branches and pull requests; regular files and LFS; private repositories and tokens; downloads
by HEAD, GET and Range, which can be made to break. Only tests use it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

LFS = (".safetensors", ".png", ".bin")
WRITER, READER = "hf_writer", "hf_reader"
"""Tokens: of the owner of everything, and of somebody else."""


@dataclass
class Repo:
    private: bool
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)

    def at(self, revision: str) -> str | None:
        return self.refs.get(revision, revision if revision in self.commits else None)

    def commit(self, files: dict[str, bytes], *, ref: str) -> str:
        text = "".join(f"{name} {hashlib.sha1(files[name]).hexdigest()}\n" for name in sorted(files))
        oid = hashlib.sha1(f"{len(self.commits)} {text}".encode()).hexdigest()
        self.commits[oid], self.refs[ref] = dict(files), oid
        return oid


@dataclass
class Hub:
    """What stands on the server, and what was asked of it."""

    url: str = ""
    repos: dict[str, Repo] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    """(method, path, Range) of every request."""
    break_after: dict[str, int] = field(default_factory=dict)
    """Name of a file to the bytes after which its next download breaks."""
    said_size: dict[str, int] = field(default_factory=dict)
    """Name of a file to the size that is told of it."""

    def make(self, name: str, files: dict[str, bytes], *, private: bool = False) -> str:
        """A repository with one commit; returns the commit."""
        repo = self.repos.setdefault(name, Repo(private))
        return repo.commit(files, ref="main")

    def files(self, name: str, revision: str = "main") -> dict[str, bytes]:
        repo = self.repos[name]
        return repo.commits[str(repo.at(revision))]

    def gets(self, name: str) -> list[str | None]:
        """The ranges of the downloads of a file."""
        return [found for method, path, found in self.asked if method == "GET" and path.endswith(f"/{name}")]


@contextmanager
def serve() -> Iterator[Hub]:
    """Run a hub until the block ends."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length)
        address = urlsplit(self.path)
        path, self.query = unquote(address.path), parse_qs(address.query)
        self.hub.asked.append((self.command, path, self.headers.get("Range")))
        for method, pattern, handle in _ROUTES:
            found = re.fullmatch(pattern, path)
            if found and self.command in method.split():
                return handle(self, **found.groupdict())
        return self._json({"error": f"no such thing: {self.command} {path}"}, status=404)

    # ------------------------------------------------------------------------------------------------------ answers
    def _send(self, body: bytes, *, status: int = 200, headers: dict[str, str] | None = None, kind: str = "") -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind or "application/octet-stream", **(headers or {})}.items():
            self.send_header(name, value)
        if "Content-Length" not in (headers or {}):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _json(self, value: Any, *, status: int = 200, code: str | None = None) -> None:
        headers = {} if code is None else {"X-Error-Code": code}
        self._send(json.dumps(value).encode(), status=status, headers=headers, kind="application/json")

    def _repo(self, name: str, *, write: bool = False) -> Repo | None:
        """The repository, if whoever asks may have it; else the answer is sent."""
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        repo = self.hub.repos.get(name)
        if token and token not in (WRITER, READER):
            self._json({"error": "Invalid credentials"}, status=401)
        elif repo is None or (repo.private and token != WRITER):  # who may not see it is told that it is not there
            self._json({"error": "Repository not found"}, status=404 if token else 401, code="RepoNotFound")
        elif write and token != WRITER:
            self._json({"error": "Forbidden: you may not write here"}, status=403)
        else:
            return repo
        return None

    # -------------------------------------------------------------------------------------------------------- routes
    def create(self) -> None:
        wanted = json.loads(self.body)
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        name = f"{wanted.get('organization') or 'owner'}/{wanted['name']}"
        if token != WRITER:
            return self._json({"error": "Invalid username or password."}, status=401 if token != READER else 403)
        known = name in self.hub.repos
        if not known:
            repo = Repo(private=wanted.get("visibility") == "private" or bool(wanted.get("private")))
            repo.commit({".gitattributes": b"*.safetensors filter=lfs\n"}, ref="main")
            self.hub.repos[name] = repo
        return self._json({"url": f"{self.hub.url}/{name}", "name": name, "id": name}, status=409 if known else 200)

    def validate(self) -> None:
        found = re.match(r"---\n(.*?)\n---\n", json.loads(self.body)["content"], re.DOTALL)
        errors = [] if found is None else _faults(yaml.safe_load(found[1]))
        self._json({"errors": errors, "warnings": []}, status=400 if errors else 200)

    def preupload(self, repo: str, revision: str) -> None:
        found = self._repo(repo, write=True)
        if found is not None:
            files = [
                {
                    "path": file["path"],
                    "uploadMode": "lfs" if file["path"].endswith(LFS) else "regular",
                    "shouldIgnore": False,
                    "oid": None,
                }
                for file in json.loads(self.body)["files"]
            ]
            self._json({"files": files})

    def batch(self, repo: str) -> None:
        if self._repo(repo, write=True) is not None:
            objects = [
                {**one, "actions": {"upload": {"href": f"{self.hub.url}/lfs/{one['oid']}"}}}
                for one in json.loads(self.body)["objects"]
            ]
            self._json({"transfer": "basic", "objects": objects})

    def put(self, oid: str) -> None:
        right = hashlib.sha256(self.body).hexdigest() == oid
        if right:
            self.hub.blobs[oid] = self.body
        self._send(b"", status=200 if right else 422)

    def commit(self, repo: str, revision: str) -> None:
        found = self._repo(repo, write=True)
        if found is None:
            return None
        start = found.at(revision)
        if start is None:
            return self._json({"error": "no such revision"}, status=404, code="RevisionNotFound")
        files = dict(found.commits[start])
        for line in self.body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                files[value["path"]] = self.hub.blobs[value["oid"]]
        proposed = "1" in self.query.get("create_pr", ())
        ref = f"refs/pr/{sum(name.startswith('refs/pr/') for name in found.refs) + 1}" if proposed else revision
        oid = found.commit(files, ref=ref)
        address = f"{self.hub.url}/{repo}"
        return self._json(
            {
                "commitUrl": f"{address}/commit/{oid}",
                "commitOid": oid,
                "pullRequestUrl": f"{address}/discussions/{ref[8:]}" if proposed else None,
            }
        )

    def info(self, repo: str, revision: str | None = None) -> None:
        found = self._repo(repo)
        if found is None:
            return None
        oid = found.at(revision or "main")
        if oid is None:
            return self._json({"error": "no such revision"}, status=404, code="RevisionNotFound")
        return self._json(self._about(repo, found, oid))

    def models(self) -> None:
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        author, wanted = self.query.get("author", [""])[0], self.query.get("filter", [])
        found = [
            self._about(name, repo, repo.refs["main"])
            for name, repo in self.hub.repos.items()
            if name.startswith(f"{author}/") and (not repo.private or token == WRITER)
        ]
        self._json([one for one in found if set(wanted) <= set(one["tags"])])

    def _about(self, name: str, repo: Repo, oid: str) -> dict[str, Any]:
        files = repo.commits[oid]
        card = re.match(rb"---\n(.*?)\n---\n", files.get("README.md", b""), re.DOTALL)
        data = yaml.safe_load(card[1]) if card else {}
        tags = [*data.get("tags", []), *([data["library_name"]] if "library_name" in data else [])]
        return {
            "id": name,
            "modelId": name,
            "sha": oid,
            "private": repo.private,
            "tags": tags,
            "siblings": [{"rfilename": file} for file in files],
        }

    def resolve(self, repo: str, revision: str, file: str) -> None:
        found = self._repo(repo)
        if found is None:
            return None
        oid = found.at(revision)
        if oid is None:
            return self._json({"error": "no such revision"}, status=404, code="RevisionNotFound")
        content = found.commits[oid].get(file)
        if content is None:
            return self._json({"error": "no such file"}, status=404, code="EntryNotFound")
        headers = {
            "ETag": f'"{hashlib.sha256(content).hexdigest()}"',
            "X-Repo-Commit": oid,
            "Accept-Ranges": "bytes",
        }
        if self.command == "HEAD":
            headers["Content-Length"] = str(self.hub.said_size.get(file, len(content)))
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        start = int(asked[1]) if asked else 0
        if asked:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        body = content[start:]
        if self.command == "GET" and file in self.hub.break_after:
            headers["Content-Length"] = str(len(body))
            body = body[: self.hub.break_after.pop(file)]
            self.close_connection = True
        return self._send(body, status=206 if asked else 200, headers=headers)


def _faults(data: object) -> list[dict[str, str]]:
    """What the Hub refuses of a card's metadata, in its documentation's words."""
    if not isinstance(data, dict):
        return [{"message": "the metadata is no mapping"}]
    faults = [
        f'"{name}" must be {word}'
        for name, kind, word in (
            ("library_name", str, "a string"),
            ("pipeline_tag", str, "a string"),
            ("license", str, "a string"),
            ("tags", list, "an array"),
            ("datasets", list, "an array"),
            ("model-index", list, "an array"),
        )
        if name in data and not isinstance(data[name], kind)
    ]
    for model in [] if faults else data.get("model-index") or []:
        if not model.get("name"):
            faults.append('"model-index[0].name" is required')
        for result in model.get("results") or []:
            for path in (("task", "type"), ("dataset", "type"), ("dataset", "name")):
                if not (result.get(path[0]) or {}).get(path[1]):
                    faults.append(f'"model-index[0].results[0].{".".join(path)}" is required')
            if not all("type" in metric and "value" in metric for metric in result.get("metrics") or [{}]):
                faults.append('"model-index[0].results[0].metrics" lacks type or value')
    return [{"message": fault} for fault in faults]


_NAME = r"(?P<repo>[^/]+/[^/]+)"
_ROUTES: tuple[tuple[str, str, Any], ...] = (
    ("POST", "/api/repos/create", _Handler.create),
    ("POST", "/api/validate-yaml", _Handler.validate),
    ("GET", "/api/models", _Handler.models),
    ("POST", f"/api/models/{_NAME}/preupload/(?P<revision>.+)", _Handler.preupload),
    ("POST", f"/api/models/{_NAME}/commit/(?P<revision>.+)", _Handler.commit),
    ("GET", f"/api/models/{_NAME}/revision/(?P<revision>.+)", _Handler.info),
    ("GET", f"/api/models/{_NAME}", _Handler.info),
    ("POST", rf"/{_NAME}\.git/info/lfs/objects/batch", _Handler.batch),
    ("PUT", "/lfs/(?P<oid>[0-9a-f]+)", _Handler.put),
    ("HEAD GET", f"/{_NAME}/resolve/(?P<revision>refs/pr/\\d+|[^/]+)/(?P<file>.+)", _Handler.resolve),
)
