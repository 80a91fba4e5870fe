"""pCloud's HTTP/JSON API on loopback, stricter and nastier than the real one.

Sources: docs.pcloud.com (protocols/http_json_protocol, structures, methods, errors), and pCloud's own api.txt for what
is said there only: names, what an overwriting upload does to ids, and that a connection stays logged in.
An answer has status 200 whatever it means; `result` says it. Use `misstep("POST", "/method", …)` for what goes wrong.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from aiohttp import BodyPartReader, web
from peers.service import Service

_PLENTY = 2**40
_WHEN = "Wed, 02 Oct 2013 14:29:11 +0000"
_GLOBAL = frozenset(
    {"auth", "access_token", "username", "digest", "passworddigest", "getauth", "logout", "authexpire",
     "timeformat", "id", "device", "use_session"}
)  # fmt: skip
_PARAMETERS = {
    "getdigest": frozenset(),
    "userinfo": frozenset(),
    "stat": frozenset({"fileid", "path"}),
    "checksumfile": frozenset({"fileid", "path"}),
    "getfilelink": frozenset({"fileid", "path", "forcedownload", "skipfilename", "contenttype"}),
    "listfolder": frozenset({"folderid", "path", "recursive", "nofiles", "noshares", "showdeleted"}),
    "createfolder": frozenset({"folderid", "name", "path"}),
    "createfolderifnotexists": frozenset({"folderid", "name", "path"}),
    "uploadfile": frozenset({"folderid", "path", "filename", "nopartial", "renameifexists", "mtime", "ctime"}),
    "renamefile": frozenset({"fileid", "path", "tofolderid", "toname", "topath"}),
    "deletefile": frozenset({"fileid", "path"}),
    "deletefolder": frozenset({"folderid", "path"}),
    "deletefolderrecursive": frozenset({"folderid", "path"}),
}
ERRORS = {
    1000: "Log in required.",
    1004: "No fileid or path provided.",
    1022: "Please provide 'code'.",
    2000: "Log in failed.",
    2001: "Invalid file/folder name.",
    2002: "A component of parent directory does not exist.",
    2003: "Access denied. You do not have permissions to preform this operation.",
    2004: "File or folder alredy exists.",
    2005: "Directory does not exist.",
    2006: "Folder is not empty.",
    2007: "Cannot delete the root folder.",
    2008: "User is over quota.",
    2009: "File not found.",
    2041: "Connection broken.",
    2055: "File or folder not found.",
    2094: "Invalid 'access_token' provided.",
    2095: "Revoked 'access_token' provided, you need to re-authorize the application.",
    4000: "Too many login tries from this IP address.",
    5000: "Internal error. Try again later.",
    5001: "Internal upload error.",
}


class Wrong(Exception):
    """An answer whose `result` is not 0."""

    def __init__(self, result: int) -> None:
        super().__init__(result)
        self.result = result


def says(result: int) -> dict[str, Any]:
    """What an answer with this `result` has in it, for missteps."""
    return {"result": result, "error": ERRORS.get(result, "Unknown.")}


@dataclass
class File:
    """A file as it is now; `revisions` are what it was before."""

    id: int
    name: str
    data: bytes
    revisions: list[bytes] = field(default_factory=list)

    @property
    def hash(self) -> int:
        return int.from_bytes(hashlib.blake2b(self.data, digest_size=8).digest(), "big")


@dataclass
class Folder:
    """A folder; a file and a folder in it may have the same name."""

    id: int
    name: str
    parent: int | None
    files: dict[str, File] = field(default_factory=dict)
    folders: dict[str, Folder] = field(default_factory=dict)
    mine: bool = True

    def walk(self, above: str = "") -> Iterator[tuple[str, File]]:
        """All files below, by path."""
        for name, file in self.files.items():
            yield above + name, file
        for name, folder in self.folders.items():
            yield from folder.walk(f"{above}{name}/")


class PCloud(Service):
    """`region` decides which checksums there are; `hold` keeps uploads back until so many are under way at once."""

    def __init__(self, region: str = "eu") -> None:
        super().__init__()
        self.region = region
        self.user, self.password = "Ada@example.org", "correct horse"
        self.tokens = {"OAUTHTOKEN4711SECRET"}
        self.auths: set[str] = set()
        self.digests: set[str] = set()
        self.logins = 0
        self.second_factor = False
        self.stays_logged_in = False
        self.quota = _PLENTY
        self.received = 0
        self.uploads = self.under_way = self.most = 0
        self.hold = 0
        self._enough = asyncio.Event()
        self.damages = 0
        self.tells_sums = True
        self.keeps_partial = False
        self.renames: list[tuple[str, str]] = []
        self.links: dict[str, int] = {}
        self.cuts: list[int] = []
        self.slow = 0.0
        self.replaces_after: tuple[int, bytes] | None = None
        self.expires_after: int | None = None
        self.link_refusal = 410
        self.dead_hosts: list[str] = []
        self.served = 0
        self._ids = itertools.count(1001)
        self.root = Folder(0, "/", None)
        self.folders = {0: self.root}
        self._known: dict[int, Any] = {}
        self._where: dict[str, tuple[Folder, File]] = {}

    # What a test arranges and looks at.

    def folder(self, path: str) -> Folder:
        """The folder at a path, made if need be."""
        place = self.root
        for name in filter(None, path.split("/")):
            place = place.folders.get(name) or self._new_folder(place, name)
        return place

    def name_next(self, number: int) -> None:
        """The next file or folder gets this id, those after it count on."""
        self._ids = itertools.count(number)

    def put(self, path: str, data: bytes) -> File:
        """A file that is there already."""
        above, _, name = path.rpartition("/")
        return self._write(self.folder(above), name, data)

    def tree(self, path: str = "/") -> dict[str, bytes]:
        """The bytes of all files below a folder, by path."""
        with self.lock:
            return {place: file.data for place, file in self.folder(path).walk()}

    def expire_logins(self) -> None:
        with self.lock:
            self.auths.clear()
            self._known.clear()

    def count(self, method: str) -> int:
        return len(self.called("POST", f"^/{method}$"))

    # The API.

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get("/content/{key}/{name}", self._content)
        for method in _PARAMETERS:
            app.router.add_route("*", f"/{method}", self._handler(method))

    def _handler(self, method: str) -> Any:
        async def handle(request: web.Request) -> web.StreamResponse:
            work = getattr(self, f"_{method}")
            try:
                if method == "uploadfile":
                    answer = await self._uploadfile(request)
                else:
                    given = {**request.query, **{name: str(value) for name, value in (await request.post()).items()}}
                    _only(method, given)
                    with self.lock:
                        login = self._log_in(request, given) if method != "getdigest" else {}
                        answer = {**work(given), **login}
            except Wrong as wrong:
                return web.json_response(says(wrong.result), headers={"X-Error": str(wrong.result)})
            return web.json_response({"result": 0, **answer})

        return handle

    def _log_in(self, request: web.Request, given: Mapping[str, str]) -> dict[str, str]:
        """Look whose request this is; a connection that is logged in stays so whatever is passed later."""
        line = id(request.transport)
        if given.get("logout"):
            self._known.pop(line, None)
        if self.stays_logged_in and line in self._known:
            return {}
        scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
        token = bearer if scheme == "Bearer" else given.get("access_token")
        new: dict[str, str] = {}
        if token is not None:
            if token not in self.tokens:
                raise Wrong(2094)
        elif "auth" in given:
            if given["auth"] not in self.auths:
                raise Wrong(2000)
        elif "username" in given:
            new = self._digest_login(given)
        else:
            raise Wrong(1000)
        self._known[line] = True
        return new

    def _digest_login(self, given: Mapping[str, str]) -> dict[str, str]:
        self.logins += 1
        digest = given.get("digest", "")
        user = hashlib.sha1(self.user.lower().encode()).hexdigest()
        right = hashlib.sha1(f"{self.password}{user}{digest}".encode()).hexdigest()
        known = digest in self.digests
        self.digests.discard(digest)
        if not known or given["username"].lower() != self.user.lower() or given.get("passworddigest") != right:
            raise Wrong(2000)
        if self.second_factor:
            raise Wrong(1022)
        if not given.get("getauth"):
            return {}
        auth = f"AUTH{next(self._ids)}SECRET"
        self.auths.add(auth)
        return {"auth": auth}

    def _getdigest(self, _given: Mapping[str, str]) -> dict[str, Any]:
        digest = f"digest{next(self._ids)}"
        self.digests.add(digest)
        return {"digest": digest, "expires": _WHEN}

    def _userinfo(self, _given: Mapping[str, str]) -> dict[str, Any]:
        used = sum(len(file.data) for _, file in self.root.walk())
        return {"userid": 1, "email": self.user, "quota": self.quota, "usedquota": used, "premium": False}

    def _file(self, given: Mapping[str, str]) -> tuple[Folder, File]:
        if "fileid" in given:
            if given["fileid"] not in self._where:
                raise Wrong(2009)
            folder, file = self._where[given["fileid"]]
            if not folder.mine:
                raise Wrong(2003)
            return folder, file
        if "path" not in given:
            raise Wrong(1004)
        above, _, name = given["path"].rpartition("/")
        folder = self._at(above)
        if name not in folder.files:
            raise Wrong(2009)
        return folder, folder.files[name]

    def _at(self, path: str) -> Folder:
        place = self.root
        for name in filter(None, path.split("/")):
            if name not in place.folders:
                raise Wrong(2002)
            place = place.folders[name]
        return place

    def _folder(self, given: Mapping[str, str], name: str = "folderid") -> Folder:
        if name not in given and "path" in given:
            return self._at(given["path"])
        text = given.get(name, "0")
        if not text.isdecimal() or int(text) not in self.folders:
            raise Wrong(2005)
        folder = self.folders[int(text)]
        if not folder.mine:
            raise Wrong(2003)
        return folder

    @staticmethod
    def _meta(folder: Folder, file: File) -> dict[str, Any]:
        return {
            "id": f"f{file.id}", "fileid": file.id, "name": file.name, "size": len(file.data), "hash": file.hash,
            "parentfolderid": folder.id, "isfolder": False, "ismine": True, "isshared": False, "created": _WHEN,
            "modified": _WHEN, "contenttype": "application/octet-stream", "category": 0, "icon": "file", "thumb": False,
        }  # fmt: skip

    def _meta_folder(self, folder: Folder, *, depth: int) -> dict[str, Any]:
        said: dict[str, Any] = {
            "id": f"d{folder.id}", "folderid": folder.id, "name": folder.name, "isfolder": True, "ismine": folder.mine,
            "isshared": False, "created": _WHEN, "modified": _WHEN, "icon": "folder", "thumb": False,
        }  # fmt: skip
        if folder.parent is not None:
            said["parentfolderid"] = folder.parent
        if depth > 0:
            files = [self._meta(folder, file) for file in folder.files.values()]
            said["contents"] = [self._meta_folder(inner, depth=depth - 1) for inner in folder.folders.values()] + files
        return said

    def _stat(self, given: Mapping[str, str]) -> dict[str, Any]:
        try:
            return {"metadata": self._meta(*self._file(given))}
        except Wrong as wrong:
            # So the client of the package pcloud expects it, of paths only.
            raise Wrong(2055) if "fileid" not in given and wrong.result in {2002, 2009} else wrong from None

    def _sums(self, data: bytes) -> dict[str, str]:
        other = "sha256" if self.region == "eu" else "md5"
        return {name: hashlib.new(name, data).hexdigest() for name in ("sha1", other)}

    def _checksumfile(self, given: Mapping[str, str]) -> dict[str, Any]:
        folder, file = self._file(given)
        return {**self._sums(file.data), "metadata": self._meta(folder, file)}

    def _getfilelink(self, given: Mapping[str, str]) -> dict[str, Any]:
        _, file = self._file(given)
        key = f"k{next(self._ids)}secret"
        self.links[key] = file.id
        here = self.url.partition("://")[2]
        hosts = [*self.dead_hosts, here, here.replace("127.0.0.1", "localhost")]
        return {
            "path": f"/content/{key}/{quote(file.name)}", "expires": _WHEN, "hosts": hosts, "size": len(file.data),
            "hash": file.hash,
        }  # fmt: skip

    def _listfolder(self, given: Mapping[str, str]) -> dict[str, Any]:
        return {"metadata": self._meta_folder(self._folder(given), depth=99 if given.get("recursive") else 1)}

    def _new_folder(self, above: Folder, name: str) -> Folder:
        made = Folder(next(self._ids), name, above.id)
        above.folders[name] = self.folders[made.id] = made
        return made

    def _createfolder(self, given: Mapping[str, str], *, exists: bool = False) -> dict[str, Any]:
        above, name = self._folder(given), _named(given.get("name", ""))
        if name in above.folders:
            if not exists:
                raise Wrong(2004)
            return {"created": False, "metadata": self._meta_folder(above.folders[name], depth=0)}
        return {"created": True, "metadata": self._meta_folder(self._new_folder(above, name), depth=0)}

    def _createfolderifnotexists(self, given: Mapping[str, str]) -> dict[str, Any]:
        return self._createfolder(given, exists=True)

    def _write(self, folder: Folder, name: str, data: bytes) -> File:
        """A file of the same name is overwritten: its id stays, and what it held is a revision."""
        with self.lock:
            old = folder.files.get(name)
            if old is None:
                made = folder.files[name] = File(next(self._ids), name, data)
                self._where[str(made.id)] = (folder, made)
            elif old.data != data:
                old.revisions.append(old.data)
                old.data = data
            return folder.files[name]

    async def _uploadfile(self, request: web.Request) -> dict[str, Any]:
        self.uploads += 1
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            if self.most >= self.hold:
                self._enough.set()
            await self._enough.wait()
            return await self._take(request)
        finally:
            self.under_way -= 1

    async def _take(self, request: web.Request) -> dict[str, Any]:
        given: dict[str, str] = dict(request.query)
        made: list[tuple[Folder, File]] = []
        if request.method == "PUT":
            # As the service does it: a PUT without a body makes no file.
            self._allowed(request, given)
            name = given.get("filename", "")
            data = await self._read(request.content.iter_any(), given, name)
            if data:
                made.append(self._store(given, name, data))
        else:
            async for part in await request.multipart():
                assert isinstance(part, BodyPartReader)
                if part.filename is None:
                    given[part.name or ""] = (await part.read()).decode()
                    continue
                self._allowed(request, given)
                data = await self._read(_pieces(part), given, part.filename)
                made.append(self._store(given, part.filename, data))
        answer: dict[str, Any] = {
            "fileids": [file.id for _, file in made], "metadata": [self._meta(*entry) for entry in made],
        }  # fmt: skip
        if self.tells_sums:
            answer["checksums"] = [self._sums(file.data) for _, file in made]
        return answer

    def _allowed(self, request: web.Request, given: Mapping[str, str]) -> None:
        _only("uploadfile", given)
        with self.lock:
            self._log_in(request, given)
            self._folder(given)

    async def _read(self, pieces: Any, given: Mapping[str, str], name: str) -> bytes:
        data = bytearray()
        try:
            async for piece in pieces:
                data += piece
                self.received += len(piece)
        except BaseException:
            # The service promises with nopartial to keep nothing, and has been seen to keep it all the same.
            if data and (self.keeps_partial or not given.get("nopartial")):
                self._write(self._folder(given), name, bytes(data))
            raise
        return bytes(data)

    def _store(self, given: Mapping[str, str], name: str, data: bytes) -> tuple[Folder, File]:
        with self.lock:
            folder, name = self._folder(given), _named(name)
            if given.get("renameifexists") and name in folder.files:
                name = f"{name} (2)"
            if self.quota < _PLENTY and sum(len(file.data) for _, file in self.root.walk()) + len(data) > self.quota:
                raise Wrong(2008)
            if self.damages > 0 and data:
                self.damages -= 1
                data = data[:-1] + bytes([data[-1] ^ 1])
            return folder, self._write(folder, name, data)

    def _renamefile(self, given: Mapping[str, str]) -> dict[str, Any]:
        """Over a file that is there already it goes atomically; that one's id is gone, its revisions stay."""
        folder, file = self._file(given)
        to = self._folder(given, "tofolderid") if "tofolderid" in given else folder
        name = _named(given.get("toname", file.name))
        self.renames.append((file.name, name))
        over = to.files.get(name)
        if over is file:
            return {"metadata": self._meta(folder, file)}
        del folder.files[file.name]
        file.name = name
        gone = {}
        if over is not None:
            file.revisions = [*over.revisions, over.data, *file.revisions]
            gone = {"deletedfileid": over.id}
            del self._where[str(over.id)]
        to.files[name] = file
        self._where[str(file.id)] = (to, file)
        return {"metadata": {**self._meta(to, file), **gone}}

    def _deletefile(self, given: Mapping[str, str]) -> dict[str, Any]:
        folder, file = self._file(given)
        del folder.files[file.name], self._where[str(file.id)]
        return {"metadata": {**self._meta(folder, file), "isdeleted": True}}

    def _deletefolder(self, given: Mapping[str, str], *, whole: bool = False) -> dict[str, Any]:
        folder = self._folder(given)
        if folder.parent is None:
            raise Wrong(2007)
        if not whole and (folder.files or folder.folders):
            raise Wrong(2006)
        del self.folders[folder.parent].folders[folder.name], self.folders[folder.id]
        return {"metadata": {**self._meta_folder(folder, depth=0), "isdeleted": True}}

    def _deletefolderrecursive(self, given: Mapping[str, str]) -> dict[str, Any]:
        below = list(self._folder(given).walk())
        self._deletefolder(given, whole=True)
        for _, file in below:
            del self._where[str(file.id)]
        count = len(below)
        return {"deletedfiles": count, "deletedfolders": 1}

    async def _content(self, request: web.Request) -> web.StreamResponse:
        """What a link leads to. Each of `cuts` ends an answer after so many bytes, and expires its link; with `slow` an
        answer comes in six pieces, each after so many seconds.
        """
        if "Authorization" in request.headers:
            return web.Response(status=400, text="a content server must not be shown the token")
        key = request.match_info["key"]
        with self.lock:
            if self.expires_after is not None and self.served >= self.expires_after:
                self.links, self.expires_after = {}, None
            if key not in self.links:
                return web.Response(status=self.link_refusal, text="Your download expired. Try previous step again.")
            file = self._where[str(self.links[key])][1]
            if self.replaces_after is not None and self.served >= self.replaces_after[0]:
                file.data, self.replaces_after = self.replaces_after[1], None
            data = file.data
        start, end, status = 0, len(data), 200
        if asked := request.headers.get("Range"):
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start, end, status = int(first), min(len(data), int(last) + 1 if last else len(data)), 206
            if start >= len(data):
                return web.Response(status=416)
        answer = web.StreamResponse(status=status)
        if status == 206:
            answer.headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(data)}"
        answer.content_length = end - start
        await answer.prepare(request)
        await self._give(request, answer, key, data[start:end])
        return answer

    async def _give(self, request: web.Request, answer: web.StreamResponse, key: str, data: bytes) -> None:
        if self.cuts:
            most = self.cuts.pop(0)
            await answer.write(data[:most])
            self.served += len(data[:most])
            self.links.pop(key, None)
            if request.transport is not None:
                request.transport.close()
            return
        step = -(-len(data) // (6 if self.slow else 1))
        for at in range(0, len(data), step):
            await asyncio.sleep(self.slow)
            await answer.write(data[at : at + step])
        self.served += len(data)
        await answer.write_eof()


async def _pieces(part: BodyPartReader) -> Any:
    while data := await part.read_chunk(2**16):
        yield data


def _only(method: str, given: Mapping[str, str]) -> None:
    """The service ignores what it does not know; here it is a mistake of the client."""
    if given.keys() - _GLOBAL - _PARAMETERS[method]:
        raise Wrong(1099)


def _named(name: str) -> str:
    if not name or len(name.encode()) >= 1024 or set(name) & {"/", "\\", "\0"}:
        raise Wrong(2001)
    return name
