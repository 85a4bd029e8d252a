"""A blocking HTTP client of both programs: JSON in and out, problems as :class:`CliError`."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from shared.settings import Secret

# The largest whole answer; pages of the API are far below it.
LONGEST_BYTES = 32 * 1024 * 1024
LONGEST_LINE_BYTES = 1024 * 1024


class CliError(Exception):
    """A failed command. ``code`` is that of the problem, or ``unreachable``, ``unproven``, ``too_large``."""

    def __init__(self, code: str, detail: str, *, status: int | None = None, exit_code: int = 1) -> None:
        super().__init__(detail)
        self.code, self.detail, self.status, self.exit_code = code, detail, status, exit_code


@dataclass(frozen=True, slots=True)
class Answer:
    """A response. ``value`` is parsed JSON, or the text when it is not JSON."""

    status: int
    value: Any
    date: str | None = None


class Client:
    """Calls one program at ``base``. Follows no redirect: the key goes to that address only.

    ``prove_as``: the program at ``base`` first proves on each connection that it is this one and
    that it holds ``key`` (:mod:`shared.contract.identity`).
    """

    def __init__(
        self, base: str, key: Secret | None, *, name: str, timeout_s: float = 15.0, prove_as: str | None = None
    ) -> None:
        self._prove_as = prove_as
        self._parts = urlsplit(base)
        self._key = key
        self.base, self.name, self._timeout_s = base, name, timeout_s

    def get(self, path: str, **query: str | int | None) -> Any:
        return self._value(self.request("GET", path, query=query))

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self._value(self.request("POST", path, body, headers=headers))

    def post_within(self, timeout_s: float, path: str, body: Any = None) -> Any:
        """:meth:`post` for what takes long."""
        return self._value(self.request("POST", path, body, timeout_s=timeout_s))

    def put(self, path: str, body: Any = None) -> Any:
        return self._value(self.request("PUT", path, body))

    def patch(self, path: str, body: Any = None) -> Any:
        return self._value(self.request("PATCH", path, body))

    def delete(self, path: str) -> Any:
        return self._value(self.request("DELETE", path))

    def save(self, path: str, target: Path) -> int:
        """Write the body of a 200 to ``target``, whole or not at all. Returns its length in bytes."""
        part = target.with_name(f".{target.name}.part")
        with self._open("GET", path, headers={"Accept": "*/*"}) as response:
            if response.status != 200:
                raise self._error(_answer(response))
            try:
                with part.open("wb") as out:
                    shutil.copyfileobj(response, out)
                    if response.length:
                        raise http.client.IncompleteRead(b"", response.length)
                    size = out.tell()
                part.replace(target)
            except (OSError, http.client.HTTPException) as error:
                raise CliError("not_saved", f"{target} cannot be written: {_why(error)}") from error
            finally:
                part.unlink(missing_ok=True)
        return size

    def request(self, method: str, path: str, body: Any = None, **options: Any) -> Answer:
        """The response, whatever its status. Options: ``query``, ``headers``, ``timeout_s``.

        Raises :class:`CliError` ``unreachable`` when none came, ``too_large`` when it exceeds ``LONGEST_BYTES``.
        """
        with self._open(method, path, body, **options) as response:
            try:
                return _answer(response)
            except (OSError, http.client.HTTPException) as error:
                raise CliError("unreachable", f"{self.name} broke off at {self.base}: {_why(error)}") from error

    def events(
        self, path: str, *, query: Mapping[str, str | int | None] | None = None, silence_s: float = 60.0
    ) -> Iterator[tuple[str, Any]]:
        """Server-sent events as (name, value), until the end or a silence of ``silence_s``."""
        from shared.sse import EventReader  # needs asyncio, and `check` starts faster without it

        headers = {"Accept": "text/event-stream"}
        with self._open("GET", path, query=query, headers=headers, timeout_s=silence_s) as response:
            if response.status != 200:
                raise self._error(_answer(response))
            reader = EventReader(LONGEST_LINE_BYTES)
            while line := response.readline(LONGEST_LINE_BYTES + 1):
                try:
                    event = reader.feed(line)
                except ValueError as error:
                    raise CliError("too_large", f"{self.name} sent {error}") from error
                if event is not None:
                    yield event[0], _parsed(event[1].encode(), "application/json")

    def _open(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, str | int | None] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> http.client.HTTPResponse:
        given = {key: value for key, value in (query or {}).items() if value is not None}
        target = self._parts.path.rstrip("/") + path + (f"?{urlencode(given)}" if given else "")
        sent = {"Accept": "application/json", "Connection": "close", **(headers or {})}
        if self._key is not None:
            sent["Authorization"] = f"Bearer {self._key.reveal()}"
        if body is not None:
            sent["Content-Type"] = "application/json"
        connection = self._connection(timeout_s or self._timeout_s)
        try:
            if self._key is not None and self._prove_as is not None:
                self._prove(connection, self._key, self._prove_as)
            connection.request(method, target, None if body is None else json.dumps(body), sent)
            response = connection.getresponse()
        except CliError:
            connection.close()
            raise
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise CliError("unreachable", f"{self.name} does not answer at {self.base}: {_why(error)}") from error
        if connection.sock is not None:
            connection.sock.close()  # its end comes with that of the response
        return response

    def proves(self, program: str) -> bool:
        """Whether ``program`` answers at ``base`` and holds the key, which is not sent."""
        if self._key is None:
            return False
        connection = self._connection(self._timeout_s)
        try:
            self._prove(connection, self._key, program)
        except (CliError, OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        return True

    def _prove(self, connection: http.client.HTTPConnection, key: Secret, program: str) -> None:
        from shared.contract.identity import CHALLENGE_HEADER, Identity, new_challenge

        challenge = new_challenge()
        connection.request("GET", self._parts.path.rstrip("/") + "/health", None, {CHALLENGE_HEADER: challenge})
        answer = _answer(connection.getresponse())
        health = answer.value if isinstance(answer.value, dict) else {}
        if not Identity(key).proves(health.get("proof"), program, str(health.get("bootId")), challenge):
            detail = f"what answers at {self.base} does not prove that it is {self.name}: the token was not sent"
            raise CliError("unproven", detail)
        connection.auto_open = 0  # the key goes over this connection or not at all

    def _connection(self, timeout_s: float) -> http.client.HTTPConnection:
        host, port = self._parts.hostname or "127.0.0.1", self._parts.port
        if self._parts.scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=timeout_s, context=ssl.create_default_context())
        return http.client.HTTPConnection(host, port, timeout=timeout_s)

    def _value(self, answer: Answer) -> Any:
        if 200 <= answer.status < 300:
            return answer.value
        raise self._error(answer)

    def _error(self, answer: Answer) -> CliError:
        problem = answer.value if isinstance(answer.value, dict) else {}
        code = str(problem.get("code", f"http_{answer.status}"))
        detail = str(problem.get("detail", f"{self.name} answered {answer.status}"))
        if answer.status in (401, 403) and self._key is None:
            detail += " (no key was found: set it in the environment, or run this where the secrets folder is)"
        return CliError(code, detail, status=answer.status)


def _answer(response: http.client.HTTPResponse) -> Answer:
    with response:
        value = _parsed(_body(response), response.headers.get_content_type())
    return Answer(response.status, value, response.headers.get("Date"))


def _body(response: http.client.HTTPResponse) -> bytes:
    """The whole body. A declared length is refused before any of it is read."""
    if (response.length or 0) <= LONGEST_BYTES:
        # Only a read of everything notices that a body of a declared length was cut off.
        raw = response.read(LONGEST_BYTES + 1) if response.length is None else response.read()
        if len(raw) <= LONGEST_BYTES:
            return raw
    raise CliError("too_large", f"the answer has more than {LONGEST_BYTES // 2**20} MB", status=response.status)


def _parsed(raw: bytes, kind: str) -> Any:
    if "json" in kind:
        try:
            return json.loads(raw)
        except ValueError:
            pass
    return raw.decode("utf-8", "replace")


def _why(error: BaseException) -> str:
    if isinstance(error, TimeoutError | socket.timeout):
        return "no answer in time"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, socket.gaierror):
        return "the name cannot be resolved"
    return str(error) or type(error).__name__
