"""XML as text in, a tree out: no DTD, no entity, no comment, nothing fetched, everything bounded.

Parsers disagree about comments, CDATA, DTDs and encodings, and those disagreements are how SAML has been attacked
(the name that ends at a comment, entities that grow, a second encoding). No identity provider needs any of them.
"""

import re
from typing import Final

from lxml import etree

from extproc.console.saml_codes import SamlCode, SamlRefused

MAX_XML_BYTES: Final = 256 * 1024
"""A response with some hundred groups takes about 60 KiB."""
MAX_ELEMENTS: Final = 5_000
"""A response with 512 groups has about 600."""
MAX_ATTRIBUTES: Final = 64
"""Of one element; SAML knows fewer than ten. lxml lists them in quadratic time."""
MAX_NAMESPACES: Final = 2_048
"""Declared in a document: some providers declare two with each value. Canonical XML looks at all of them everywhere."""
_ID_NAMES: Final = frozenset({"id", "assertionid", "responseid"})
_DECLARATION = re.compile(
    r"""\A<\?xml\s+version=["']1\.0["'](?:\s+encoding=["']utf-8["'])?(?:\s+standalone=["'](?:yes|no)["'])?\s*\?>\s*""",
    re.IGNORECASE | re.ASCII,
)


def parse_xml(data: bytes) -> etree._Element:
    """The root of a document from outside. Raises `SamlRefused`, which holds nothing of it."""
    if len(data) > MAX_XML_BYTES:
        raise SamlRefused(SamlCode.TOO_LARGE)
    try:
        text = data.decode("utf-8", "strict").removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}")
    except UnicodeDecodeError:
        raise SamlRefused(SamlCode.NOT_XML) from None
    text = _DECLARATION.sub("", text.strip(" \t\r\n"), count=1)
    # `<` is never text in well-formed XML, so these two are exact.
    if "<!" in text or "<?" in text:
        raise SamlRefused(SamlCode.FORBIDDEN_XML)
    if text.count("xmlns") > MAX_NAMESPACES:
        raise SamlRefused(SamlCode.TOO_LARGE)
    root = parse_clean(text.encode())
    for number, element in enumerate(root.iter()):
        if number >= MAX_ELEMENTS or len(element.attrib) > MAX_ATTRIBUTES:
            raise SamlRefused(SamlCode.TOO_LARGE)
    _refuse_same_ids(root)
    return root


def parse_clean(data: bytes) -> etree._Element:
    """The root of what is known to hold neither declaration nor comment. Raises `SamlRefused`."""
    try:
        return etree.fromstring(data, _parser())
    except (etree.XMLSyntaxError, ValueError):
        raise SamlRefused(SamlCode.NOT_XML) from None


def parse_own_file(data: bytes) -> etree._Element | None:
    """The root of a file of the configuration, which may hold comments; None for what is not XML or has a DTD."""
    try:
        root = etree.fromstring(data, _parser(remove_comments=True, remove_pis=True))
    except (etree.XMLSyntaxError, ValueError):
        return None
    information = root.getroottree().docinfo
    return root if information.internalDTD is None and information.externalDTD is None else None


def _parser(*, remove_comments: bool = False, remove_pis: bool = False) -> etree.XMLParser:
    return etree.XMLParser(
        remove_comments=remove_comments,
        remove_pis=remove_pis,
        resolve_entities=False,
        load_dtd=False,
        dtd_validation=False,
        attribute_defaults=False,
        no_network=True,
        huge_tree=False,
        recover=False,
        collect_ids=False,
    )


def _refuse_same_ids(root: etree._Element) -> None:
    """Whatever a library takes for an ID, of any case, stands for one element."""
    seen: set[str] = set()
    for element in root.iter():
        for name, value in element.attrib.items():
            if etree.QName(name).localname.lower() in _ID_NAMES:
                if str(value) in seen:
                    raise SamlRefused(SamlCode.DUPLICATE_ID)
                seen.add(str(value))


def text_of(element: etree._Element) -> str:
    """The whole text of an element that holds only text, without the blanks around it. Raises `SamlRefused`."""
    if len(element):
        raise SamlRefused(SamlCode.MALFORMED)
    return (element.text or "").strip(" \t\r\n")


def only(parent: etree._Element, tag: str) -> etree._Element:
    """The one child of that name. Raises `SamlRefused` for none and for several."""
    found = parent.findall(tag)
    if len(found) != 1:
        raise SamlRefused(SamlCode.MALFORMED)
    return found[0]
