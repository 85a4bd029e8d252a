"""MIME types and file names that others chose, checked or made safe for HTTP headers."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote

UNKNOWN_TYPE = "application/octet-stream"
LONGEST_TYPE, LONGEST_NAME = 200, 200
_WORD = r"[A-Za-z0-9!#$&^_.+-]+"
_MIME_TYPE = re.compile(rf'{_WORD}/{_WORD}(?:[ \t]*;[ \t]*{_WORD}=(?:{_WORD}|"[ !#-\[\]-~]*"))*')
_RESERVED = re.compile(r'[\\/:*?"<>|]')


def is_mime_type(text: str) -> bool:
    """Whether ``text`` is a MIME type, with or without parameters, in ASCII."""
    return len(text) <= LONGEST_TYPE and _MIME_TYPE.fullmatch(text) is not None


def safe_mime_type(text: str) -> str:
    """``text`` when it is a MIME type, with its parameters; else one that says nothing."""
    text = text.strip()
    return text if is_mime_type(text) else UNKNOWN_TYPE


def safe_file_name(text: str) -> str | None:
    """``text`` without folders and without characters that file systems, headers or terminals act
    on; None when nothing is left."""
    name = "".join("_" if unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp") else letter for letter in text)
    return _RESERVED.sub("_", name).strip(" .")[:LONGEST_NAME] or None


def as_attachment(file_name: str) -> str:
    """The header ``Content-Disposition`` of a download under this name (RFC 6266)."""
    name = safe_file_name(file_name)
    if name is None:
        return "attachment"
    plain = name.encode("ascii", "replace").decode().replace("?", "_")
    header = f'attachment; filename="{plain}"'
    return header if plain == name else f"{header}; filename*=UTF-8''{quote(name, safe='')}"
