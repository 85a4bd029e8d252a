"""Finds, compiles and fills the templates of one program. Compiled templates are kept, as Python keeps compiled modules.

``python -m shared.web.ui.template_environment FOLDER …`` compiles them where the programs' user may not write.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import jinja2
from jinja2.bccache import Bucket

from shared.version import VERSION
from shared.visible import shown

HERE = Path(__file__).parent


class CompiledTemplates(jinja2.FileSystemBytecodeCache):
    """In the ``__pycache__`` of ``folder``. One that cannot be written is compiled at each start."""

    def __init__(self, folder: Path) -> None:
        # Another release of this program, of Jinja or of Python may compile differently.
        release = f"{VERSION}.jinja2-{jinja2.__version__}.{sys.implementation.cache_tag}"
        super().__init__(str(folder / "__pycache__"), f"template-%s.{release}")

    def dump_bytecode(self, bucket: Bucket) -> None:
        if sys.dont_write_bytecode:
            return
        with contextlib.suppress(OSError):
            super().dump_bytecode(bucket)
            # Installed by one user, read by the user of the service.
            Path(self._get_cache_filename(bucket)).chmod(0o644)


def template_environment(folder: Path) -> jinja2.Environment:
    """For the templates of ``folder`` and those of all pages."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder / "templates", HERE / "templates"]),
        autoescape=True,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        bytecode_cache=CompiledTemplates(folder),
    )


def compile_all(environment: jinja2.Environment) -> None:
    for template in environment.list_templates():
        environment.get_template(template)


def _visible(value: object) -> object:
    """Every text that a template writes: what could change the reading of the page is a symbol."""
    if type(value) is str:
        return shown(value, keep="\n\r\t")
    # Markup comes from our own macros and filters, which were given visible texts.
    return value


if __name__ == "__main__":
    for _folder in sys.argv[1:]:
        compile_all(template_environment(Path(_folder).absolute()))
