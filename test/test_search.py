"""SEARCH, SORT and THREAD of random mail: the same answers with the index and
without it, and the same order whether or not the facts were at hand.

Texts are of several scripts, charsets and encodings; needles are cut out of
them anywhere. Without the index every message is read, which is what the
answer is defined by.
"""
import base64
import imaplib
import quopri
import random

from harness import DOMAIN, PASSWORD, Postrider
from test_index import indexed, searches

WORDS = ("alpha Beta GAMMA stra\u00dfe M\u00fcller na\u00efve \u0416\u0435\u043d\u044f "
         "\u043c\u0438\u0440 \u65e5\u672c\u8a9e \u6771\u4eac\u90fd x2y foo-bar a.b@c.example 12345 "
         "re-entry I\u0307stanbul \u0130zmir \u03a3\u03af\u03c3\u03c5\u03c6\u03bf\u03c2 end").split()
MESSAGES = 160


def words(r, n):
    return " ".join(r.choices(WORDS, k=n))


def header(text):
    if text.isascii():
        return text.encode()
    return b"=?utf-8?b?" + base64.b64encode(text.encode()) + b"?="


def part(r, text):
    kind = r.choice(["8bit", "base64", "quoted", "latin", "html"])
    if kind == "base64":
        return (b"Content-Type: text/plain; charset=utf-8\r\n"
                b"Content-Transfer-Encoding: base64\r\n\r\n" +
                base64.encodebytes(text.encode()).replace(b"\n", b"\r\n"))
    if kind == "quoted":
        return (b"Content-Type: text/plain; charset=utf-8\r\n"
                b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" +
                quopri.encodestring(text.encode()).replace(b"\n", b"\r\n"))
    if kind == "latin":
        return (b"Content-Type: text/plain; charset=iso-8859-1\r\n\r\n" +
                text.encode("latin-1", "ignore"))
    if kind == "html":
        return (b"Content-Type: text/html; charset=utf-8\r\n\r\n<p>" +
                text.encode() + b"</p>")
    return b"Content-Type: text/plain; charset=utf-8\r\n\r\n" + text.encode()


def message(r, number):
    lines = [b"From: " + header(words(r, 1)) + b" <a%d@x.example>" % number,
             b"To: " + r.choice([b"b@x.example", b"\"C, D\" <c@y.example>"]),
             b"Subject: " + header(r.choice(["", "Re: "]) + words(r, 3)),
             b"Date: %d Jan 2024 10:%02d:00 +0000" % (r.randint(1, 28),
                                                      r.randint(0, 59)),
             b"Message-ID: <%d@x>" % number,
             b"X-Note: " + header(words(r, 2))]
    if number > 0 and r.random() < .6:
        lines.append(b"References: " + b" ".join(
            b"<%d@x>" % r.randrange(number + 3) for _ in range(2)))
    if r.random() < .3:
        return b"\r\n".join(lines + [
            b"MIME-Version: 1.0",
            b"Content-Type: multipart/mixed; boundary=b", b"",
            b"--b", part(r, words(r, 9)), b"--b", part(r, words(r, 9)),
            b"--b--", b""])
    return b"\r\n".join(lines) + b"\r\nMIME-Version: 1.0\r\n" + \
        part(r, words(r, 20)) + b"\r\n"


def needles(r):
    for _ in range(60):
        text = words(r, 3)
        at = r.randrange(len(text))
        needle = text[at:at + r.randint(1, 12)].strip()
        if needle:
            yield r.choice([needle, needle.upper(), needle.lower()])


def client(server):
    c = imaplib.IMAP4_SSL("127.0.0.1", server.port("imaps"),
                          ssl_context=server.tls_context())
    c.login(f"ann@{DOMAIN}", PASSWORD)
    return c


def ask(c, key, needle):
    c.literal = needle.encode()
    return c.uid("SEARCH", "CHARSET", "UTF-8", key)[1][0]


def answers(server, seed):
    """To each question; in the order in which they were asked."""
    r, c, found = random.Random(seed), client(server), []
    assert c.select("INBOX")[0] == "OK"
    for needle in needles(r):
        for key in ("SUBJECT", "FROM", "BODY", "TEXT", "HEADER X-Note",
                    "HEADER Content-Type"):
            found.append((key, needle, ask(c, key, needle)))
        found.append(("both", needle, ask(
            c, "NOT SUBJECT alpha OR FROM beta TEXT", needle)))
    for keys in ("(DATE)", "(SUBJECT)", "(FROM REVERSE DATE)", "(TO SIZE)",
                 "(REVERSE DISPLAYFROM)"):
        found.append((keys, "", c.uid("SORT", keys, "UTF-8", "ALL")[1][0]))
    for kind in ("ORDEREDSUBJECT", "REFERENCES", "REFS"):
        found.append((kind, "", c.uid("THREAD", kind, "UTF-8",
                                      "ALL")[1][0]))
    c.logout()
    return found


def test_with_and_without_the_index():
    r = random.Random(7)
    with Postrider(settings="log { level = debug }") as server:
        c = client(server)
        for number in range(MESSAGES):
            assert c.append("INBOX", None, None,
                            message(r, number))[0] == "OK"
        c.logout()
        indexed(server, MESSAGES)
        before = searches(server)
        with_index = answers(server, 8)
        assert searches(server) > before
        # Asked again everything is at hand.
        assert answers(server, 8) == with_index
        with open(server.config, "a") as f:
            f.write("\nindex { enabled = no }\n")
        server.restart()
        asked = searches(server)
        without = answers(server, 8)
        assert searches(server) == asked
        for one, other in zip(with_index, without, strict=True):
            assert one == other
        assert any(found for _, needle, found in without if needle)
