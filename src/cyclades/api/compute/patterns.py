"""Regular expressions that clients send: matched in a time that grows with the text alone, whatever they are."""

from __future__ import annotations

import re

import jsonschema_rs

from cyclades.model.errors import Invalid

_MOST = 255  # characters
_BYTES = 1 << 20  # that a compiled one may take
_OPTIONS = jsonschema_rs.RegexOptions(size_limit=_BYTES, dfa_size_limit=_BYTES)
_PLAIN = re.compile(r"(?:[^.*+?\\^$()\[\]{}|]|\\[^\w\s]|\\_)*")


class Pattern:
    """`plain` is the text that it means, found at the text's beginning or end if `begins` or `ends` say so; None if it
    is more than that. `Invalid` if it is none."""

    def __init__(self, text: str) -> None:
        if len(text) > _MOST:
            raise Invalid("filter", f"A name is looked for by at most {_MOST} characters.", field="name")
        self.begins, self.ends = text.startswith("^"), text.endswith("$") and not text.endswith("\\$")
        inner = text[self.begins : len(text) - self.ends]
        self.plain = inner.replace("\\", "") if _PLAIN.fullmatch(inner) else None
        if self.plain is None:
            schema = {"type": "string", "pattern": text}
            try:
                self._validator = jsonschema_rs.Draft202012Validator(schema, pattern_options=_OPTIONS)
            except ValueError as error:
                raise Invalid("filter", "The name is no regular expression that can be used.", field="name") from error

    def matches(self, text: str) -> bool:
        """Of one that is not plain."""
        return self._validator.is_valid(text)
