"""The notes of a release: `python .ci/notes.py [VERSION]` prints the section of CHANGELOG.md.

Without VERSION, that of pyproject.toml. Exit code 1: the two disagree, or the changelog has nothing to say of it.
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
_HEADING = re.compile(r"^## \[(?P<version>[^\]]+)\](?: - (?P<day>\d{4}-\d{2}-\d{2}))?$", re.MULTILINE)


def notes(changelog: str, project: str, version: str = "") -> str:
    """The section of a version, without its heading.

    Args:
        changelog: CHANGELOG.md, in the form of Keep a Changelog.
        project: pyproject.toml.
        version: such as 1.2.0; empty: that of the project.

    Raises:
        ValueError: the project has another version, or the changelog has no dated section of it with words.
    """
    own = tomllib.loads(project)["project"]["version"]
    version = version or own
    if version != own:
        raise ValueError(f"version {version}: pyproject.toml says {own}: raise it there first")
    headings = list(_HEADING.finditer(changelog))
    for heading, following in zip(headings, [*headings[1:], None], strict=True):
        if heading["version"] == version:
            if not heading["day"]:
                raise ValueError(f"CHANGELOG.md: write the heading as `## [{version}] - YYYY-MM-DD`")
            section = changelog[heading.end() : following.start() if following else None].strip()
            if not section:
                raise ValueError(f"CHANGELOG.md says nothing of {version}")
            return section
    raise ValueError(f"CHANGELOG.md has no section `## [{version}] - YYYY-MM-DD`: rename that of Unreleased")


if __name__ == "__main__":
    try:
        files = [(ROOT / name).read_text() for name in ("CHANGELOG.md", "pyproject.toml")]
        print(notes(files[0], files[1], *sys.argv[1:2]))
    except ValueError as error:
        sys.exit(str(error))
