"""What reads the bodies that HTML forms send: urlencoded, and multipart (RFC 7578)."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from cptoolkit.http.errors import HTTPError
from cptoolkit.http.query import add_param

if TYPE_CHECKING:
    from cptoolkit.http.body import Entity, Part


def process_urlencoded(entity: Entity) -> None:
    """Read an urlencoded form into ``entity.params``. Only ``&`` separates fields.

    :raises HTTPError: 400 if it is in none of the charsets to try, 413 beyond ``max_form_size``
        or ``max_fields``.
    """
    data = entity.read(entity.max_form_size + 1)
    if len(data) > entity.max_form_size:
        raise too_large("The form is larger than {} bytes.", entity, "max_form_size")
    if data.count(b"&") >= entity.max_fields:
        raise too_large("The form has more than {} fields.", entity, "max_fields")
    data = data.replace(b"+", b" ")
    pairs = [
        (unquote_to_bytes(name), unquote_to_bytes(value)) if b"%" in piece else (name, value)
        for piece in data.split(b"&")
        if piece
        for name, _, value in [piece.partition(b"=")]
    ]

    def decode(charset: str) -> list[tuple[str, str]]:
        return [(name.decode(charset), value.decode(charset)) for name, value in pairs]

    for name, value in entity.try_charsets(decode):
        add_param(entity.params, name, value)


def process_multipart_form_data(entity: Entity) -> None:
    """Read a multipart form into ``entity.params``: fields as str, files as parts.

    Only parts without a name are put into ``entity.parts``. A field named ``_charset_`` gives
    the charset of those that declare none (RFC 7578, section 4.6).

    :raises HTTPError: as :func:`process_multipart`; 400 if a field cannot be decoded.
    """
    parts = _read_parts(entity)
    charset = next((p.fullvalue() for p in parts if p.name == "_charset_" and p.value), None)
    for part in parts:
        if part.name is None:
            entity.parts.append(part)
        elif part.filename is not None or part.parts:
            add_param(entity.params, part.name, part)
        else:
            if charset:
                part.attempt_charsets.insert(0, charset)
            add_param(entity.params, part.name, part.fullvalue())


def process_multipart(entity: Entity) -> None:
    """Read a multipart body of any kind into ``entity.parts``.

    :raises HTTPError: 400 if the body is malformed or ends early, 413 beyond ``max_parts``,
        ``max_files``, ``max_part_header``, ``max_form_memory`` or ``max_form_size``.
    """
    entity.parts.extend(_read_parts(entity))


class FormUsage:
    """How much of an entity's limits has been used by its parts, and by theirs.

    :param entity: the outermost entity, which sets the limits.
    """

    def __init__(self, entity: Entity) -> None:
        self.entity = entity
        self.parts = 0
        self.files = 0
        self.memory = 0
        self.depth = 0
        """How many multipart bodies, one in the other, are being read."""

    def add_part(self, is_file: bool) -> None:
        """Count a part.

        :raises HTTPError: 413 if it is one too many.
        """
        self.parts += 1
        if self.parts > self.entity.max_parts:
            raise too_large("The form has more than {} parts.", self.entity, "max_parts")
        self.files += is_file
        if self.files > self.entity.max_files:
            raise too_large("The form has more than {} files.", self.entity, "max_files")

    def add_memory(self, amount: int, field_size: int) -> None:
        """Count bytes of a field that is kept in memory.

        :param field_size: the bytes of this field so far, these included.
        :raises HTTPError: 413 if they are too many for one field or for a form.
        """
        self.memory += amount
        if field_size > self.entity.max_form_memory:
            raise too_large(
                "A field of the form is larger than {} bytes.", self.entity, "max_form_memory"
            )
        if self.memory > self.entity.max_form_size:
            raise too_large(
                "The fields of the form are larger than {} bytes.", self.entity, "max_form_size"
            )


def too_large(message: str, entity: Entity, option: str) -> HTTPError:
    """A 413 that tells of a limit.

    :param message: with ``{}`` for the value of the limit.
    :param option: the attribute of the entity that sets it.
    """
    return HTTPError(413, message.format(getattr(entity, option)))


def _read_parts(entity: Entity) -> list[Part]:
    # Not above: it brings all of werkzeug, as much as the rest of an import of cptoolkit together.
    from cptoolkit.http.multipart import read_parts

    return read_parts(entity)
