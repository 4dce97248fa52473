"""Files of HTML, PDF and Word for tests, written by hand."""

import io
import zipfile
import zlib

SCHEMAS = "http://schemas.openxmlformats.org"
WORD = f"{SCHEMAS}/wordprocessingml/2006/main"
_OFFICE = "application/vnd.openxmlformats"
_DOCUMENT = f"{_OFFICE}-officedocument.wordprocessingml.document.main+xml"
_TYPES = f"""<?xml version="1.0"?>
<Types xmlns="{SCHEMAS}/package/2006/content-types">
<Default Extension="rels" ContentType="{_OFFICE}-package.relationships+xml"/>
<Override PartName="/word/document.xml" ContentType="{_DOCUMENT}"/>
<Override PartName="/docProps/core.xml" ContentType="{_OFFICE}-package.core-properties+xml"/>
</Types>"""
_KINDS = f"{SCHEMAS}/package/2006/relationships"
RELATIONS = f"""<?xml version="1.0"?>
<Relationships xmlns="{_KINDS}">
<Relationship Id="r1" Type="{SCHEMAS}/officeDocument/2006/relationships/officeDocument"
 Target="word/document.xml"/>
<Relationship Id="r2" Type="{_KINDS}/metadata/core-properties" Target="docProps/core.xml"/>
</Relationships>"""
_CORE = """<?xml version="1.0"?>
<cp:coreProperties xmlns:cp="{schemas}/package/2006/metadata/core-properties"
 xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:dcterms="http://purl.org/dc/terms/">
<dc:title>{title}</dc:title>{core}</cp:coreProperties>"""


def docx(*paragraphs, title="", core="", body="", doctype="", extra=()):
    """Return a Word document of some paragraphs, or of XML.

    `core` are more properties, as XML, and `extra` more parts, by name; None leaves one out.
    """
    body = body or "".join(f"<w:p><w:r><w:t>{one}</w:t></w:r></w:p>" for one in paragraphs)
    body = f'<w:document xmlns:w="{WORD}"><w:body>{body}</w:body></w:document>'
    document = f'<?xml version="1.0"?>{doctype}{body}'
    parts = {
        "[Content_Types].xml": _TYPES,
        "_rels/.rels": RELATIONS,
        "word/document.xml": document,
        "docProps/core.xml": _CORE.format(schemas=SCHEMAS, title=title, core=core),
        **dict(extra),
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            if content is not None:
                archive.writestr(name, content)
    return buffer.getvalue()


def pdf(*pages, title="", information="", content=None, packed=False):
    """Return a PDF with a page for each text, whose lines are shown below each other.

    `information` are more entries of its information dictionary. `content` is instead what one page
    draws, compressed if `packed`.
    """
    streams = [content] if content is not None else [_shown(text) for text in pages]
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b""]
    objects += [
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        f"<< /Title ({title}) {information} >>".encode("latin-1"),
    ]
    kids = []
    for stream in streams:
        length = zlib.compress(stream) if packed else stream
        how = b"/Filter /FlateDecode " if packed else b""
        kids.append(b"%d 0 R" % (len(objects) + 1))
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R "
            b"/Resources << /Font << /F1 3 0 R >> >> >>" % (len(objects) + 2)
        )
        objects.append(b"<< %s/Length %d >>\nstream\n%s\nendstream" % (how, len(length), length))
    objects[1] = b"<< /Type /Pages /Kids [%s] /Count %d >>" % (b" ".join(kids), len(kids))
    return _numbered(objects)


def _shown(text):
    lines = [f"({line}) Tj T*" for line in text.split("\n")]
    return "\n".join(["BT /F1 12 Tf 14 TL 50 700 Td", *lines, "ET"]).encode("cp1252")


def _numbered(objects):
    raw, places = b"%PDF-1.4\n", []
    for number, one in enumerate(objects, 1):
        places.append(len(raw))
        raw += b"%d 0 obj\n%s\nendobj\n" % (number, one)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    trailer = b"trailer << /Size %d /Root 1 0 R /Info 4 0 R >>" % (len(objects) + 1)
    return raw + b"xref\n0 %d\n0000000000 65535 f \n%s%s\nstartxref\n%d\n%%%%EOF" % (
        len(objects) + 1,
        table,
        trailer,
        len(raw),
    )
