"""YAML and JSON as files of users may have them: read by the safe half of each, and nothing twice.

Errors name the line and the column, and never quote the file: it holds hashes, and perhaps a password in a wrong place.
"""

from __future__ import annotations

import json
import re
from typing import Any

from .watched_file import RejectedFileError

#: How deep lists and mappings may be in each other: a file of brackets would end in a RecursionError, or worse.
_MOST_LEVELS = 32

#: The longest number, date or other value of YAML that is more than a text. It takes time to convert, and more than
#: in proportion to its length: ``1:1:1:1:...`` is a number.
_MOST_CHARACTERS_OF_A_NUMBER = 1000

#: What a value of YAML may be. Not among them are ``!!python/object`` and its like, ``!!binary`` and ``<<``.
_YAML_TYPES = frozenset(f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "timestamp", "str"))

#: What YAML takes for no character of a text (YAML 1.1, 5.1).
_NO_CHARACTER = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


def decode(data: bytes) -> str:
    """Return the text in a file.

    :param data: its bytes
    :raises RejectedFileError: they are no UTF-8
    """
    position = 0
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        position = error.start
    # Outside of the except block: the error refers to all that is in the file.
    raise _reject_at(data[:position].decode("utf-8", "replace"), position, "no UTF-8")


def _reject_at(text: str, position: int, reason: str) -> RejectedFileError:
    before = text[:position]
    return RejectedFileError(reason, before.count("\n") + 1, len(before) - before.rfind("\n"))


# JSON


class _RepeatedKey(dict[str, Any]):
    """Hold a mapping in which a key stands twice, until it is clear where."""


def read_json(text: str) -> Any:
    """Return what a JSON document says.

    :param text: the document
    :raises RejectedFileError: it is none, or has a key twice in a mapping
    """
    position, reason = 0, ""
    try:
        document = json.loads(
            text, object_pairs_hook=_make_mapping, parse_int=_read_integer, parse_constant=_refuse_constant
        )
    except json.JSONDecodeError as error:
        # Not the error itself, which refers to all that is in the file.
        position, reason = error.pos, error.msg.partition(":")[0]
    except RecursionError:
        raise RejectedFileError("too many lists and mappings in each other") from None
    except OverflowError as error:
        raise RejectedFileError(str(error)) from None
    if reason:
        raise _reject_at(text, position, f"no JSON: {reason}")
    _refuse_repeated_keys(document)
    return document


def _make_mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    return mapping if len(mapping) == len(pairs) else _RepeatedKey(mapping)


def _read_integer(digits: str) -> int:
    if len(digits) > _MOST_CHARACTERS_OF_A_NUMBER:
        raise OverflowError("a number that is too long")
    return int(digits)


def _refuse_constant(name: str) -> None:
    raise OverflowError(f"{name}, which is no JSON")


def _refuse_repeated_keys(document: Any) -> None:
    """Raise where a mapping has a key twice: the second may be an ``active: true`` that nobody sees."""
    if not _has_repeated_key(document):
        return
    for name in ("users", "groups"):
        entries = document.get(name) if isinstance(document, dict) else None
        for position, entry in enumerate(entries if isinstance(entries, list) else ()):
            if _has_repeated_key(entry):
                raise RejectedFileError(f"{name}[{position}] has a key twice")
    raise RejectedFileError("a mapping has a key twice")


def _has_repeated_key(document: Any) -> bool:
    remaining = [document]
    while remaining:
        value = remaining.pop()
        if isinstance(value, _RepeatedKey):
            return True
        if isinstance(value, (dict, list)):
            remaining += value.values() if isinstance(value, dict) else value
    return False


# YAML, whose events are read one by one: a document of aliases, or of brackets, never becomes an object


def read_yaml(text: str, yaml: Any) -> Any:
    """Return what a YAML document says; ``None`` for an empty one.

    :param text: the document
    :param yaml: PyYAML
    :raises RejectedFileError: it is none, has an alias, a tag that makes an object, or a key twice in a mapping
    """
    character = _NO_CHARACTER.search(text)
    if character:
        raise _reject_at(text, character.start(), "a character that YAML does not have")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
    mark = None
    try:
        return _YAMLReader(loader, yaml).read()
    except yaml.YAMLError as error:
        # Not the error itself, which quotes the line. The mark counts from 0.
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    finally:
        loader.dispose()
    raise RejectedFileError("no YAML", *((mark.line + 1, mark.column + 1) if mark else ()))


class _YAMLReader:
    """Read one document.

    :param loader: PyYAML's safe loader, which has events and knows what a scalar means
    :param yaml: the module
    """

    def __init__(self, loader: Any, yaml: Any) -> None:
        self._loader = loader
        self._yaml = yaml

    def read(self) -> Any:
        """Return what the document says; ``None`` where there is none."""
        events = self._yaml.events
        self._loader.get_event()  # the start of the stream
        if self._loader.check_event(events.StreamEndEvent):
            return None
        self._loader.get_event()  # the start of the document
        value = self._read_value(1)
        self._loader.get_event()  # its end
        if not self._loader.check_event(events.StreamEndEvent):
            raise self._refuse(self._loader.get_event(), "a second document")
        return value

    def _read_value(self, level: int) -> Any:
        events = self._yaml.events
        event = self._loader.get_event()
        if level > _MOST_LEVELS:
            raise self._refuse(event, f"more than {_MOST_LEVELS} lists and mappings in each other")
        if isinstance(event, events.ScalarEvent):
            return self._read_scalar(event)
        if isinstance(event, events.AliasEvent):
            # Ten lines of aliases can be a billion entries ("billion laughs").
            raise self._refuse(event, "an alias; write it out")
        if event.tag not in (None, "!", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"):
            raise self._refuse(event, "a tag that is not taken")
        if isinstance(event, events.SequenceStartEvent):
            return self._read_list(level)
        return self._read_mapping(level)

    def _read_list(self, level: int) -> list[Any]:
        values = []
        while not self._loader.check_event(self._yaml.events.SequenceEndEvent):
            values.append(self._read_value(level + 1))
        self._loader.get_event()
        return values

    def _read_mapping(self, level: int) -> dict[Any, Any]:
        mapping: dict[Any, Any] = {}
        while not self._loader.check_event(self._yaml.events.MappingEndEvent):
            event = self._loader.peek_event()
            key = self._read_value(level + 1)
            if isinstance(key, (list, dict)):
                raise self._refuse(event, "a list or a mapping as a key")
            if key in mapping:
                # The second may be an "active: true" that nobody sees.
                raise self._refuse(event, "a key that stands there twice")
            mapping[key] = self._read_value(level + 1)
        self._loader.get_event()
        return mapping

    def _read_scalar(self, event: Any) -> Any:
        tag = event.tag
        if tag in (None, "!"):
            tag = self._loader.resolve(self._yaml.ScalarNode, event.value, event.implicit)
        if tag not in _YAML_TYPES:
            raise self._refuse(event, "a tag that is not taken")
        if not tag.endswith(":str") and len(event.value) > _MOST_CHARACTERS_OF_A_NUMBER:
            raise self._refuse(event, "a number that is too long")
        try:
            node = self._yaml.ScalarNode(tag, event.value, event.start_mark, event.end_mark)
            return self._loader.yaml_constructors[tag](self._loader, node)
        except (ArithmeticError, LookupError, TypeError, ValueError):
            pass  # "2024-13-45" looks like a date; the error quotes it
        raise self._refuse(event, "a value that cannot be")

    @staticmethod
    def _refuse(event: Any, reason: str) -> RejectedFileError:
        return RejectedFileError(reason, event.start_mark.line + 1, event.start_mark.column + 1)
