"""The pages that readers follow: README, CHANGELOG and the reports' own."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "reports").glob("*/*.md"))]
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")


def kept():
    """What a clone has: a link to a report that lies here alone leads its reader nowhere."""
    if not shutil.which("git") or not (ROOT / ".git").exists():
        pytest.skip("no git repository around the suite: what a clone has is not known")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    files = {ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).exists()}
    return files | {ROOT / folder for file in files for folder in file.relative_to(ROOT).parents}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_what_a_clone_has(page):
    links = {link for link in LINK.findall(page.read_text()) if "://" not in link}
    targets = {(page.parent / link).resolve() for link in links}
    missing = targets - {path.resolve() for path in kept()}
    assert not missing, f"{page.name} links to what a clone does not have"
