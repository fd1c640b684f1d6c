"""HTML as a tree: text and attributes are put in as text, and the writer escapes them. Nothing is pasted together."""

from collections.abc import Iterable, Sequence
from xml.etree.ElementTree import Element, SubElement, tostring

Content = str | Element


def element(name: str, *content: Content, css: str = "") -> Element:
    """An element with text and elements in it. `css` is a class of our own style sheet."""
    made = Element(name, {"class": css} if css else {})
    last: Element | None = None
    for each in content:
        if isinstance(each, Element):
            made.append(each)
            last = each
        elif last is None:
            made.text = (made.text or "") + each
        else:
            last.tail = (last.tail or "") + each
    return made


def table(headings: Sequence[str], rows: Iterable[Sequence[Content]], css: str = "") -> Element:
    """A table whose headings, if any, are repeated on each printed page; the first column names the row."""
    made = Element("table", {"class": css} if css else {})
    if headings:
        head = SubElement(SubElement(made, "thead"), "tr")
        for heading in headings:
            cell = element("th", heading)
            cell.set("scope", "col")
            head.append(cell)
    body = SubElement(made, "tbody")
    for row in rows:
        line = SubElement(body, "tr")
        for index, each in enumerate(row):
            cell = element("td" if index else "th", each)
            if not index:
                cell.set("scope", "row")
            line.append(cell)
    return made


def items(texts: Iterable[Content]) -> Element:
    return element("ul", *(element("li", each) for each in texts))


def section(title: str, *content: Content) -> Element:
    return element("section", element("h2", title), *content)


def document(title: str, style: str, *content: Content) -> bytes:
    """A whole page in UTF-8 that loads nothing and runs nothing. `style` is ours."""
    root = Element("html", {"lang": "en"})
    head = SubElement(root, "head")
    SubElement(head, "meta", {"charset": "utf-8"})
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    SubElement(head, "meta", {"http-equiv": "Content-Security-Policy", "content": policy})
    SubElement(head, "meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"})
    SubElement(head, "title").text = title
    SubElement(head, "style").text = style
    root.append(element("body", *content))
    written: bytes = tostring(root, encoding="utf-8", method="html")
    return b"<!DOCTYPE html>\n" + written + b"\n"
