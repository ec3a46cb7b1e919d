"""Tutorial 9: files, up and down.

A form with ``enctype="multipart/form-data"`` sends files. Each arrives as a parameter that is no
text but an object: ``upload.filename`` and ``upload.content_type`` are what the browser said of it,
not to be trusted, and ``upload.file`` is an open file with what it sent. That one is on the disk if
it is large, and gone after the request. So read it in blocks, and memory does not grow with it.

``serve_file`` answers with a file of yours, as an attachment when the browser is to save it. It
takes the type from the extension and lets clients ask for parts, or whether the file has changed.
"""

from hashlib import sha256
from html import escape
from pathlib import Path

import cptoolkit
from cptoolkit.http.body import Part
from cptoolkit.static_functions import serve_file

BLOCK = 65536  # bytes

FORM = """\
<!DOCTYPE html>
<title>Files</title>
<form method="post" action="measure" enctype="multipart/form-data">
  <input type="file" name="upload" required>
  <button>Measure it</button>
</form>
<p><a href="source">The program of this page</a>
"""

RESULT = """\
<!DOCTYPE html>
<title>{name}</title>
<p>{name}, said to be {type}, has {size} bytes.
<p>Its SHA-256 is <code>{digest}</code>.
"""


class Files:
    @cptoolkit.expose
    def index(self) -> str:
        return FORM

    @cptoolkit.expose
    @cptoolkit.tools.allow(methods="POST")
    def measure(self, upload: object) -> str:
        if not isinstance(upload, Part) or upload.file is None:
            raise cptoolkit.HTTPError(400, "upload must be one file")
        size, digest = 0, sha256()
        while block := upload.file.read(BLOCK):
            size += len(block)
            digest.update(block)
        return RESULT.format(
            name=escape(upload.filename or "It"),
            type=escape(str(upload.content_type)),
            size=size,
            digest=digest.hexdigest(),
        )

    @cptoolkit.expose
    def source(self) -> object:
        return serve_file(Path(__file__).absolute(), "text/plain", "attachment", "files.py")


if __name__ == "__main__":
    cptoolkit.quickstart(Files())
