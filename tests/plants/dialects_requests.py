"""Planted bugs: what of a request's form is let through."""

from tests.plants.plant import Plant

FORM = "tests/core/dialects/test_dialect_form.py"
DISGUISE = "tests/core/dialects/test_dialect_disguise.py"
MEDIA = "tests/core/dialects/test_dialect_media.py"
WHOLES = "tests/core/dialects/test_stream_wholes.py"


PLANTS = (
    Plant(
        "p1: line ends of Unicode are written as they are",
        "core/dialects/strict_json.py",
        "    if not data.isascii():\n",
        "    if False:\n",
        WHOLES,
    ),
    Plant(
        "p1: the lines of a batch are masked as texts only",
        "core/dialects/form.py",
        "    document = _document_of(body)\n",
        "    document = None\n",
        FORM,
    ),
    Plant(
        "p1: media that a message names are none",
        "core/dialects/media.py",
        "(said and bool(value)) or ",
        "",
        MEDIA,
    ),
    Plant(
        "p1: media are let through unasked",
        "core/dialects/media.py",
        "            if isinstance(kind, str):\n                yield kind, item\n",
        "",
        MEDIA,
    ),
    Plant(
        "p1: the name of a file of a form is not masked",
        "core/dialects/form.py",
        "filename = masker.mask_text(part.filename)",
        "filename = part.filename",
        FORM,
    ),
    Plant(
        "a form's boundary may be a card number",
        "core/dialects/form.py",
        "if masker.mask_text(self.content_type) != self.content_type:",
        "if not self.content_type:",
        FORM,
    ),
    Plant(
        "the type of a form's part may be a card number",
        "core/dialects/form.py",
        "for text in (part.name, part.content_type)",
        "for text in (part.name,)",
        FORM,
    ),
    Plant(
        "a name in brackets announces nothing",
        "core/dialects/form.py",
        "[key for key in _BRACKETS.split(name) if key and not key.isdecimal()][-_MAX_KEYS:] or [name]",
        "[name]",
        FORM,
    ),
    Plant(
        "a name in brackets announces with its last pair alone",
        "core/dialects/form.py",
        "[key for key in _BRACKETS.split(name) if key and not key.isdecimal()][-_MAX_KEYS:] or [name]",
        '[name.rstrip("]").rpartition("[")[2]]',
        FORM,
    ),
    Plant(
        "a text that may yet become events leaves at once",
        "core/dialects/disguise.py",
        "            if undecided:\n                return",
        "            if not visible:\n                return",
        DISGUISE,
    ),
    Plant(
        "events behind a line that means nothing pass",
        "core/dialects/disguise.py",
        "        if _FURTHER.search(seen):\n",
        "        if _FURTHER.search(text):\n",
        DISGUISE,
    ),
    Plant(
        "a doubled key in a batch hides what a request carries",
        "core/dialects/form.py",
        "document = parse_json(line[begin.end() : end].encode(), limits.max_json_depth, Reason.BODY_MALFORMED)",
        "document = json.loads(line[begin.end() : end])",
        FORM,
    ),
    Plant(
        "NaN in a batch hides what a request carries",
        "core/dialects/form.py",
        "_LENIENT = json.JSONDecoder(parse_int=len,",
        "_LENIENT = json.JSONDecoder(parse_constant=int, parse_int=len,",
        FORM,
    ),
    Plant(
        "a file with a byte order mark is no JSON",
        "core/dialects/form.py",
        '_JSON = re.compile("[\\\\s\\ufeff]*',
        '_JSON = re.compile("[\\\\s]*',
        FORM,
    ),
    Plant(
        "a message's keys may be spelled in any case",
        "core/dialects/facts.py",
        "        _check_keys(part, _JUDGED_IN_MESSAGES)\n",
        "        pass\n",
        MEDIA,
    ),
    Plant(
        "a batch's requests may spell their keys in any case",
        "core/dialects/form.py",
        "                check_spelling(body)\n",
        "                pass\n",
        FORM,
    ),
    Plant(
        "media without a type pass outside of messages",
        "core/dialects/media.py",
        "    below = [(document.get(key), False) for key in MEDIA_PLACES]\n",
        "    below: list[tuple[object, bool]] = []\n",
        MEDIA,
    ),
    Plant(
        "TensorFlow Serving's bytes are no media",
        "core/dialects/fields.py",
        '    "b64": "file",\n',
        "",
        MEDIA,
    ),
    Plant(
        "a document that names a picture is text",
        "core/dialects/media.py",
        'source.get("media_type", "text/plain") == "text/plain"',
        "True",
        MEDIA,
    ),
    Plant(
        "a document in text is media",
        "core/dialects/media.py",
        "if kind in MEDIA_TYPES and not _is_text_document(kind, part):",
        "if kind in MEDIA_TYPES:",
        MEDIA,
    ),
    Plant(
        "a batch may hold any number of objects",
        "core/dialects/form.py",
        "            steps += _OBJECT_STEPS\n",
        "",
        FORM,
    ),
)
