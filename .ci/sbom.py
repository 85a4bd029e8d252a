"""Writes a bill of materials of each image to ``build/sbom-<program>.cdx.json`` (CycloneDX 1.6).

Reads only the lock files, without a network: name, version and hashes of every locked package
that the image's platform installs.
"""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.markers import Marker

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = ("bot_service", "watchdog")
# The platform of the images, to evaluate the markers of the lock files.
PLATFORM = {
    "sys_platform": "linux",
    "platform_system": "Linux",
    "python_version": "3.13",
    "python_full_version": "3.13.0",
    "implementation_name": "cpython",
    "platform_python_implementation": "CPython",
}
_PIN = re.compile(r"^(?P<name>[a-z0-9._-]+)(?:\[[^]]*\])?==(?P<version>\S+?)(?: ; (?P<marker>.+?))? *\\?$")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def bill(program: str, version: str) -> Bom:
    """The bill of materials of one image."""
    bom = Bom()
    bom.metadata.component = Component(name=f"veilleur-{program}", version=version, type=ComponentType.APPLICATION)
    current: Component | None = None
    for line in (ROOT / program / "requirements.lock").read_text(encoding="utf-8").splitlines():
        if pin := _PIN.match(line):
            wanted = pin["marker"] is None or Marker(pin["marker"]).evaluate(PLATFORM)
            current = _component(pin["name"], pin["version"]) if wanted else None
            if current is not None:
                bom.components.add(current)
        elif current is not None and (found := _HASH.search(line)):
            current.hashes.add(HashType(alg=HashAlgorithm.SHA_256, content=found[1]))
    bom.register_dependency(bom.metadata.component, list(bom.components))
    return bom


def _component(name: str, version: str) -> Component:
    url = PackageURL("pypi", None, name, version)
    return Component(name=name, version=version, type=ComponentType.LIBRARY, purl=url, bom_ref=name)


def main() -> None:
    version = runpy.run_path(str(ROOT / "shared" / "version.py"))["VERSION"]
    (ROOT / "build").mkdir(exist_ok=True)
    for program in PROGRAMS:
        bom = bill(program, version)
        target = ROOT / "build" / f"sbom-{program}.cdx.json"
        target.write_text(JsonV1Dot6(bom).output_as_string(indent=2) + "\n", encoding="utf-8")
        sys.stdout.write(f"{target.relative_to(ROOT)}: {len(bom.components)} packages\n")


if __name__ == "__main__":
    main()
