"""docs/configure.md has every setting, with its default."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec

from cyclades.config import Settings, _Section, load

PAGE = Path(__file__).parents[1] / "docs" / "configure.md"
PATHS = {"data": "~/.local/share/cyclades"}


def documented() -> dict[str, dict[str, str]]:
    """Defaults as the page says them, by section and name."""
    found: dict[str, dict[str, str]] = {}
    for part in re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)[1:]:
        title, _, body = part.partition("\n")
        section = title.strip("[]") if title.startswith("[") else ""
        found[section] = dict(re.findall(r"^\| `(\w+)` \|([^|]*)\|", body, flags=re.MULTILINE))
    return found


def there() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {"": {}}
    for field in msgspec.structs.fields(Settings):
        default = getattr(Settings(), field.name)
        if isinstance(default, _Section):
            found[field.name] = _fields(type(default))
        elif field.name in ("pools", "providers", "backends"):
            (kind,) = (one for one in field.type.__args__ if one is not Ellipsis)
            found[field.name] = _fields(kind)
        else:
            found[""][field.name] = _shown(PATHS.get(field.name, default))
    return found


def _fields(kind: type[msgspec.Struct]) -> dict[str, str]:
    return {field.name: _shown(field.default) for field in msgspec.structs.fields(kind)}


def _shown(default: Any) -> str:
    if default is msgspec.NODEFAULT:
        return ""
    text = msgspec.json.encode(str(default) if isinstance(default, Path) else default).decode()
    return "none" if default is None else f"`{text}`"


def test_every_setting_is_on_the_page_with_its_default() -> None:
    page, code = documented(), there()
    assert set(page) == set(code)
    for section, settings in code.items():
        assert {name: text.strip() for name, text in page[section].items()} == settings, section


def test_the_example_is_one(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    file = tmp_path / "cyclades.toml"
    file.write_text(example)
    assert load(file, {}).quotas.volumes == 500
