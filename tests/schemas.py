"""`python -m tests.schemas`: write docs/schemas anew, from the records."""

from pathlib import Path

from harness.commands.schema import SCHEMAS, text_of

FOLDER = Path(__file__).parents[1] / "docs" / "schemas"


def path_of(name: str) -> Path:
    return FOLDER / f"{name}.schema.json"


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for file in FOLDER.glob("*.schema.json"):
        file.unlink()
    for name in SCHEMAS:
        path_of(name).write_text(text_of(name), "utf-8")


if __name__ == "__main__":
    main()
