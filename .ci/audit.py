"""Asks an advisory service for known vulnerabilities of every package of the lock: `make audit`.

Exit code 0: none is known, or nobody could be asked (which is said); 1: there is one; 2: the audit itself is broken.
With `--required`, not to be able to ask is 3. Every other option is one of `pip-audit`.

pip-audit alone cannot be trusted with this: without a network it ends with 1, as it does when it finds something, and
an index that knows nothing of a package counts as "no known vulnerabilities".
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOCKS = ("requirements/dev.txt", "requirements/uv.txt")
"""The first has every package of the others."""
ACCEPTED: dict[str, str] = {}
"""Advisories that the project lives with, by identifier, with the reason."""
_NO_ANSWER = ("ConnectionError", "Timeout", "SSLError", "ProxyError", "HTTPError", "Could not connect", "ServiceError")
"""What pip-audit ends with where the service cannot be reached, or does not answer as it should."""
NONE_KNOWN, FOUND, BROKEN, NOT_ASKED = 0, 1, 2, 3


def main(arguments: list[str]) -> int:
    """Audit the lock and say what was found; returns the exit code."""
    required = "--required" in arguments
    options = [a for a in arguments if a != "--required"]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        error = _ask(report, options)
        if not report.exists():
            last = next((line for line in reversed(error.splitlines()) if line.strip()), "no output")
            if not any(word in error for word in _NO_ANSWER):
                print(f"pip-audit failed: {last}", file=sys.stderr)
                return BROKEN
            return _not_asked(last, required)
        packages = json.loads(report.read_text())["dependencies"]
    asked = [p for p in packages if "skip_reason" not in p]
    if not asked:
        return _not_asked("it knows none of the packages", required)
    found = [(p, v) for p in asked for v in p["vulns"]]
    for package, known in found:
        mended = ", ".join(known["fix_versions"]) or "no version yet"
        print(
            f"{package['name']} {package['version']}: {known['id']}, mended in {mended}. {known['description'][:200]}"
        )
    for name, why in ACCEPTED.items():
        print(f"accepted: {name}, {why}")
    left = [p["name"] for p in packages if "skip_reason" in p]
    unknown = f"; the service does not know {', '.join(left)}" if left else ""
    print(f"{len(asked)} packages: {len(found)} known vulnerabilities{unknown}")
    if found:
        print("Raise the floor of the package in pyproject.toml and run `make lock`; what cannot be mended goes, with")
        print("the reason, into ACCEPTED of .ci/audit.py")
    return FOUND if found else NONE_KNOWN


def _ask(report: Path, options: list[str]) -> str:
    """Run pip-audit on the locks; gives what it wrote to standard error. Without an answer there is no report."""
    command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes", "--progress-spinner=off"]
    command += ["--vulnerability-service=osv", "--format=json", f"--output={report}", *options]
    command += [f"--requirement={ROOT / lock}" for lock in LOCKS]
    command += [f"--ignore-vuln={name}" for name in ACCEPTED]
    return subprocess.run(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, check=False).stderr


def _not_asked(why: str, required: bool) -> int:
    print(f"The lock was not audited, since no advisory service could be asked: {why}", file=sys.stderr)
    return NOT_ASKED if required else NONE_KNOWN


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
