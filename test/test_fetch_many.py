"""FETCH of a whole mailbox: what is got for many messages at once, ahead of
their telling, is what each of them says by itself; over several batches,
with messages of every size among them, and while some of them go.
"""
import imaplib
import os
import signal
import zlib

from harness import DOMAIN, PASSWORD, Postrider, alive, eventually

SIZES = [0, 1, 100, 3000, 20000, 32 << 10, 70000, 140 << 10, 300000]
DISTINCT = 60
COPIES = 12


def text(number):
    size = SIZES[number % len(SIZES)]
    line = b"line %d of a body, (in parentheses\r\n" % number
    return (line * (size // len(line) + 1))[:size]


def message(number):
    body = text(number)
    if number % 5 == 0:
        body = (b"--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" +
                body + b"\r\n--b\r\nContent-Type: image/png; name=\"a\\\"b\""
                b"\r\nContent-Disposition: attachment\r\n\r\nAAAA\r\n--b--\r\n")
    kind = b"multipart/mixed; boundary=b" if number % 5 == 0 else \
        b"text/plain"
    # It may end with what a response begins with.
    return (b"From: \"A \\\"%d\\\" B\" <a%d@x.example>\r\n" % (number, number) +
            b"Subject: =?utf-8?q?m=C3=BC?= number %d\r\n" % number +
            b"MIME-Version: 1.0\r\nContent-Type: " + kind + b"\r\n\r\n" +
            body + b" FETCH (")


def connect(server):
    imap = imaplib.IMAP4_SSL("127.0.0.1", server.port("imaps"),
                             ssl_context=server.tls_context())
    imap.login(f"ann@{DOMAIN}", PASSWORD)
    return imap


def fill(imap):
    for number in range(DISTINCT):
        imap.append("INBOX", None, None, message(number))
    imap.create("many")
    imap.select("INBOX")
    for _ in range(COPIES):
        assert imap.copy("1:*", "many")[0] == "OK"


def rows(imap, what, items):
    """Of each message, by its number: the pieces of its response."""
    status, data = imap.fetch(what, items)
    assert status == "OK", data
    found, pieces = {}, []
    for piece in data:
        if isinstance(piece, tuple):
            pieces += piece
            continue
        pieces.append(piece)
        if piece.endswith(b")"):
            number, _, first = pieces[0].partition(b" ")
            assert int(number) not in found
            found[int(number)] = [first] + pieces[1:]
            pieces = []
    assert not pieces
    return found


def expect_bodies(imap):
    found = rows(imap, "1:*", "(UID BODY.PEEK[] BODY.PEEK[]<5.10> "
                 "BODY.PEEK[TEXT]<0.1>)")
    assert sorted(found) == list(range(1, DISTINCT * COPIES + 1))
    for number, pieces in found.items():
        whole = message((number - 1) % DISTINCT)
        assert pieces[0] == b"(UID %d BODY[] {%d}" % (number, len(whole))
        assert pieces[1] == whole
        assert pieces[2] == b" BODY[]<5> {10}"
        assert pieces[3] == whole[5:15]
        assert pieces[4] == b" BODY[TEXT]<0> {1}"
        assert pieces[5] == whole.split(b"\r\n\r\n", 1)[1][:1]


STRUCTURE = "(ENVELOPE BODYSTRUCTURE INTERNALDATE RFC822.SIZE)"


def expect_structures(imap):
    found = rows(imap, "1:*", STRUCTURE)
    assert sorted(found) == list(range(1, DISTINCT * COPIES + 1))
    for number in range(1, DISTINCT * COPIES + 1, 37):
        assert rows(imap, str(number), STRUCTURE)[number] == found[number]
    for number, pieces in found.items():
        assert b"number %d\"" % ((number - 1) % DISTINCT) in \
            b"".join(pieces) or b"?=" in b"".join(pieces)
        assert b"RFC822.SIZE %d)" % len(message((number - 1) % DISTINCT)) \
            in pieces[-1]
    return found


def test_fetch_many():
    with Postrider() as server:
        imap = connect(server)
        fill(imap)
        imap.select("many")
        before = expect_structures(imap)
        expect_bodies(imap)
        # By now or later its pages are there, and say the same.
        server.restart()
        imap = connect(server)
        imap.select("many")
        assert expect_structures(imap) == before
        expect_bodies(imap)
        imap.logout()


def test_compressed():
    """Long and short pieces through COMPRESS=DEFLATE, below it TLS."""
    with Postrider() as server:
        imap = connect(server)
        fill(imap)
        imap.select("many")
        imap.send(b"x COMPRESS DEFLATE\r\n")
        assert imap.readline().startswith(b"x OK")
        packer, unpacker = zlib.compressobj(wbits=-15), zlib.decompressobj(-15)
        imap.sock.sendall(packer.compress(b"y FETCH 1:* BODY.PEEK[]\r\n") +
                          packer.flush(zlib.Z_SYNC_FLUSH))
        said = bytearray()
        while not said[-200:].splitlines()[-1:] or \
                not said[-200:].splitlines()[-1].startswith(b"y "):
            came = imap.sock.recv(1 << 16)
            assert came
            said += unpacker.decompress(came)
        expected = bytearray()
        for number in range(DISTINCT * COPIES):
            whole = message(number % DISTINCT)
            expected += b"* %d FETCH (BODY[] {%d}\r\n" % (number + 1,
                                                          len(whole))
            expected += whole + b")\r\n"
        assert said.startswith(expected)
        assert said[len(expected):].startswith(b"y OK")


def test_some_go_meanwhile():
    """What another session takes away is told of, or left out as a whole."""
    with Postrider() as server:
        imap = connect(server)
        fill(imap)
        imap.select("many")
        other = connect(server)
        other.select("many")
        other.uid("STORE", "200:300,700", "+FLAGS.SILENT", "(\\Deleted)")
        assert other.expunge()[0] == "OK"
        for items in ("(UID BODY.PEEK[])", "(UID ENVELOPE BODYSTRUCTURE)"):
            status, data = imap.fetch("1:*", items)
            assert status == "NO" and b"EXPUNGEISSUED" in data[0], data
            assert imap.response("FETCH")[1] != [None]
        imap.noop()
        found = rows(imap, "1:*", "(UID BODY.PEEK[])")
        assert len(found) == DISTINCT * COPIES - 102


def test_the_client_goes():
    """Batches under way for who went away are nobody's, and harm nobody."""
    with Postrider() as server:
        imap = connect(server)
        fill(imap)
        roles = server.role_pids()
        for _ in range(20):
            gone = connect(server)
            gone.select("many")
            gone.send(b"x FETCH 1:* (ENVELOPE BODY.PEEK[])\r\n")
            gone.read(1000)
            gone.shutdown()
        imap.select("many")
        expect_bodies(imap)
        assert server.role_pids() == roles


def test_the_store_dies():
    """Batches that were asked for are asked for again."""
    with Postrider() as server:
        imap = connect(server)
        fill(imap)
        imap.select("many")
        store, = server.role_pids()["store"]
        imap.send(b"x FETCH 1:* (UID BODY.PEEK[])\r\n")
        first = imap.readline()
        assert first.startswith(b"* 1 FETCH (UID 1 BODY[] {")
        os.kill(store, signal.SIGKILL)
        eventually(lambda: not alive(store))
        left = int(first.split(b"{")[1].split(b"}")[0])
        count = 0
        while True:
            imap.read(left)
            assert imap.readline() == b")\r\n"
            count += 1
            line = imap.readline()
            if not line.startswith(b"* "):
                break
            left = int(line.split(b"{")[1].split(b"}")[0])
        assert line.startswith(b"x OK"), line
        assert count == DISTINCT * COPIES
