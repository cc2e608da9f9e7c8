"""Official JavaScript clients, for tests."""

from pathlib import Path

FOLDER = Path(__file__).parent
MODULES = FOLDER / "node_modules"
INSPECTOR = FOLDER / "inspector"
