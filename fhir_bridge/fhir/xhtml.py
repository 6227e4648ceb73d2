"""Narrative: well-formed XHTML of closed lists of elements and attributes (R4 narrative.html).

expat reads it with no DTD, no entity of its own, no processing instruction; anything active
(scripts, events, forms, ``javascript:`` links) is outside the lists.
"""

from __future__ import annotations

from xml.parsers import expat

__all__ = ["narrative_fault"]

_XHTML = "http://www.w3.org/1999/xhtml"
_SEPARATOR = "|"


def _set(names: str) -> frozenset[str]:
    return frozenset(names.split())


_ELEMENTS = _set(
    "a abbr acronym address b bdo big blockquote br caption cite code col colgroup dd del dfn div "
    "dl dt em h1 h2 h3 h4 h5 h6 hr i img ins kbd li map area ol p pre q samp small span strong "
    "sub sup table tbody td tfoot th thead tr tt u ul var"
)
_ANYWHERE = _set("title style class id lang xml:lang dir accesskey tabindex")
_CELL = _set(
    "abbr axis headers scope rowspan colspan align valign char charoff nowrap bgcolor width height"
)
_ATTRIBUTES: dict[str, frozenset[str]] = {
    "a": _set("name href target rel rev charset hreflang type shape coords"),
    "area": _set("shape coords href nohref alt target"),
    "bdo": frozenset(),
    "blockquote": frozenset({"cite"}),
    "br": frozenset({"clear"}),
    "caption": frozenset({"align"}),
    "col": _set("span width align valign char charoff"),
    "colgroup": _set("span width align valign char charoff"),
    "del": _set("cite datetime"),
    "div": frozenset({"align"}),
    "hr": _set("align noshade size width"),
    "img": _set("src alt longdesc height width usemap ismap align border"),
    "ins": _set("cite datetime"),
    "li": _set("type value"),
    "map": frozenset({"name"}),
    "ol": _set("type compact start"),
    "p": frozenset({"align"}),
    "pre": frozenset({"width"}),
    "q": frozenset({"cite"}),
    "table": _set("summary width border frame rules cellspacing cellpadding align bgcolor"),
    "tbody": _set("align valign char charoff"),
    "td": _set(
        "abbr axis headers scope rowspan colspan align valign char charoff nowrap bgcolor width "
        "height"
    ),
    "tfoot": _set("align valign char charoff"),
    "th": _set(
        "abbr axis headers scope rowspan colspan align valign char charoff nowrap bgcolor width "
        "height"
    ),
    "thead": _set("align valign char charoff"),
    "tr": _set("align valign char charoff bgcolor"),
    "ul": _set("type compact"),
}
for _heading in ("h1", "h2", "h3", "h4", "h5", "h6"):
    _ATTRIBUTES[_heading] = frozenset({"align"})
_LINKS = frozenset({"href", "src", "cite", "longdesc", "usemap"})
_ACTIVE = ("javascript:", "vbscript:", "data:text")


class _Refused(Exception):
    """Raised inside expat's callbacks with the sentence for the sender."""


class _Reader:
    """Judges one narrative while expat reads it."""

    def __init__(self) -> None:
        self.depth = 0
        self._parser = expat.ParserCreate(namespace_separator=_SEPARATOR)
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.ProcessingInstructionHandler = self._instruction
        self._parser.StartDoctypeDeclHandler = self._doctype

    def read(self, text: str) -> None:
        self._parser.Parse(text, True)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        namespace, _, local = name.rpartition(_SEPARATOR)
        if namespace not in ("", _XHTML):
            raise _Refused("an element outside the XHTML namespace")
        if self.depth == 0 and local != "div":
            raise _Refused("the outermost element is not div")
        if local not in _ELEMENTS:
            raise _Refused("an element that a narrative may not hold")
        self.depth += 1
        for key, value in attributes.items():
            self._attribute(local, key, value)

    def _attribute(self, element: str, name: str, value: str) -> None:
        plain = name.replace("http://www.w3.org/XML/1998/namespace|", "xml:")
        if plain not in _ANYWHERE and plain not in _ATTRIBUTES.get(element, ()):
            raise _Refused("an attribute that a narrative may not hold")
        bare = "".join(value.split()).lower()
        if plain in _LINKS and bare.startswith(_ACTIVE):
            raise _Refused("a link that would run a script")

    def _end(self, name: str) -> None:
        self.depth -= 1

    def _instruction(self, target: str, data: str) -> None:
        raise _Refused("a processing instruction")

    def _doctype(self, *_: object) -> None:
        raise _Refused("a document type declaration")


def narrative_fault(div: str) -> str:
    """What is wrong with ``Narrative.div`` in words; "" when it is right (txt-1, txt-2).

    An empty one is taken as "no narrative" rather than refused for txt-2: the published vectors
    for primitives and some official R4 examples have it. A div without a namespace declaration
    is taken as XHTML; one in another namespace is not.
    """
    if not div:
        return ""
    reader = _Reader()
    try:
        reader.read(div)
    except _Refused as refused:
        return f"the narrative has {refused}"
    except expat.ExpatError as error:
        place = f"line {error.lineno}, column {error.offset + 1}"
        return f"the narrative is not well-formed XHTML ({place})"
    return ""
