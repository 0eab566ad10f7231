"""An IMAP client that believes what it is told and checks that it may be told.

Message numbers, UIDs, flags and modification sequences are kept as a client
must keep them (RFC 3501 7.4.1, RFC 7162, RFC 9051, RFC 9586); a response
that breaks what was promised before raises Broken.
"""
import re
import socket
import zlib

TIMEOUT = 30
# What a command may be told on the side; messages keep their numbers in these.
KEEPS_NUMBERS = ("FETCH", "STORE", "SEARCH", "SORT", "THREAD")


class Broken(AssertionError):
    """The server said what it must not say."""


def expect(condition, *what):
    if not condition:
        raise Broken(" ".join(str(w) for w in what))


def uid_set(text):
    """'1:3,7' as a list."""
    found = []
    for piece in text.split(","):
        first, _, last = piece.partition(":")
        low, high = sorted((int(first), int(last or first)))
        found.extend(range(low, high + 1))
    return found


def as_set(uids):
    """The other way round."""
    ranges = []
    for uid in sorted(uids):
        if ranges and ranges[-1][1] == uid - 1:
            ranges[-1][1] = uid
        else:
            ranges.append([uid, uid])
    return ",".join(f"{a}:{b}" if a != b else str(a) for a, b in ranges)


TOKEN = re.compile(
    rb'\(|\)|"((?:[^"\\]|\\.)*)"|\{(\d+)\}\r\n|[^\s()"{]+\[[^]]*\](?:<\d+>)?'
    rb'|[^\s()"{]+')


def parse(data):
    """Lists, strings and atoms of a response."""
    stack, at = [[]], 0
    while at < len(data):
        if data[at:at + 1] in b" \r\n":
            at += 1
            continue
        m = TOKEN.match(data, at)
        expect(m is not None, "cannot be read:", data[at:at + 80])
        at = m.end()
        if m[2] is not None:
            stack[-1].append(data[at:at + int(m[2])].decode("latin-1"))
            at += int(m[2])
        elif m[0] == b"(":
            stack.append([])
        elif m[0] == b")":
            expect(len(stack) > 1, "a parenthesis too many:", data)
            done = stack.pop()
            stack[-1].append(done)
        elif m[1] is not None:
            stack[-1].append(re.sub(rb"\\(.)", rb"\1", m[1]).decode("latin-1"))
        else:
            stack[-1].append(m[0].decode("latin-1"))
    expect(len(stack) == 1, "a parenthesis is open:", data)
    return stack[0]


class Wire:
    """Lines with their literals, over a socket that may be compressed."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), TIMEOUT)
        self.socket.settimeout(TIMEOUT)
        self.buffer = b""
        self.deflate = self.inflate = None

    def compress(self):
        self.deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
        self.inflate = zlib.decompressobj(-15)

    def send(self, data):
        if self.deflate:
            data = (self.deflate.compress(data)
                    + self.deflate.flush(zlib.Z_SYNC_FLUSH))
        self.socket.sendall(data)

    def fill(self):
        data = self.socket.recv(1 << 16)
        if not data:
            raise EOFError("the server closed")
        self.buffer += self.inflate.decompress(data) if self.inflate else data

    def response(self):
        """One, with the literals inside."""
        end = 0
        while True:
            line_end = self.buffer.find(b"\r\n", end)
            if line_end < 0:
                self.fill()
                continue
            literal = re.search(rb"\{(\d+)\}$", self.buffer[end:line_end])
            end = line_end + 2
            if literal is None:
                data, self.buffer = self.buffer[:end], self.buffer[end:]
                return data
            end += int(literal[1])
            while len(self.buffer) < end:
                self.fill()

    def ready(self):
        """Is there something, without waiting?"""
        if self.buffer:
            return True
        self.socket.setblocking(False)
        try:
            self.fill()
        except BlockingIOError:
            pass
        finally:
            self.socket.settimeout(TIMEOUT)
        return bool(self.buffer)


class Believer:
    """One session. `traits`: condstore qresync rev2 uidonly compress."""

    def __init__(self, name, port, login, password, traits=(), truth=None):
        self.name, self.port, self.traits = name, port, frozenset(traits)
        self.credentials = login, password
        # What all sessions know: (uidvalidity, uid) is this Message-ID.
        self.truth = {} if truth is None else truth
        self.log = []
        self.connect()

    # -- the connection
    def connect(self):
        self.wire = Wire(self.port)
        self.count, self.tag, self.running = 0, None, None
        self.idling = False
        self.forget()
        self.say_read()                 # the greeting
        self.run('LOGIN "%s" "%s"' % self.credentials)
        if "compress" in self.traits:
            self.run("COMPRESS DEFLATE")
            self.wire.compress()
        for trait, word in (("condstore", "CONDSTORE"),
                            ("qresync", "QRESYNC"), ("rev2", "IMAP4rev2"),
                            ("uidonly", "UIDONLY")):
            if trait in self.traits:
                said = self.run(f"ENABLE {word}")
                expect(any(word in r for r in said if "ENABLED" in r),
                       self.name, word, "was not enabled:", said)

    def drop(self):
        """The connection is lost; what was known stays."""
        self.wire.socket.close()

    def forget(self):
        self.uids, self.flags, self.modseqs = [], {}, {}
        self.validity = self.high = None
        self.selected = False

    # -- talking
    def say_read(self):
        data = self.wire.response()
        self.log.append(data[:300])
        del self.log[:-80]
        return data

    def begin(self, command, extra=b""):
        expect(self.running is None, self.name, "is busy")
        self.count += 1
        self.tag = f"{self.name}{self.count}"
        self.running = command
        self.wire.send(f"{self.tag} {command}".encode("latin-1") + extra
                       + b"\r\n")
        self.log.append(f"> {self.tag} {command}".encode()[:300])

    def end(self, good=("OK",)):
        """Until the tagged answer; the untagged ones, parsed."""
        said = []
        while True:
            data = self.say_read()
            if data.startswith(b"+"):
                continue
            if data.startswith(b"* "):
                said.append(self.untagged(data))
                continue
            expect(data.startswith(self.tag.encode() + b" "), self.name,
                   "another tag than", self.tag, data)
            self.running, running = None, self.running
            text = data.decode("latin-1").split(" ", 1)[1]
            self.code(text)
            expect(good is None or text.startswith(tuple(good)), self.name,
                   running, "was answered", text)
            self.last = text
            return said

    def run(self, command, extra=b"", good=("OK",)):
        self.begin(command, extra)
        return self.end(good)

    # -- what is told
    def code(self, text):
        m = re.search(r"\[HIGHESTMODSEQ (\d+)\]", text)
        if m and self.selected:
            expect(self.high is None or int(m[1]) >= self.high, self.name,
                   "HIGHESTMODSEQ went back from", self.high, "to", m[1])
            self.high = int(m[1])
        m = re.search(r"\[UIDVALIDITY (\d+)\]", text)
        if m and self.running and re.match("SELECT|EXAMINE", self.running):
            self.validity = int(m[1])

    def may_renumber(self):
        if self.running is None:
            return self.idling
        return not self.running.startswith(KEEPS_NUMBERS)

    def untagged(self, data):
        word = data.split(None, 2)[1].decode("latin-1").upper()
        if word in ("OK", "NO", "PREAUTH"):
            self.code(data.decode("latin-1"))
            return [word]
        if word in ("BYE", "BAD"):
            raise Broken(f"{self.name}: {data!r}")
        response = parse(data)[1:]
        if word.isdigit():
            getattr(self, "told_" + response[1].lower())(
                int(word), *response[2:])
        elif word == "VANISHED":
            self.told_vanished(response)
        return response

    def told_exists(self, number):
        expect(number >= len(self.uids), self.name, "EXISTS shrank from",
               len(self.uids), "to", number)
        self.uids += [None] * (number - len(self.uids))

    def told_recent(self, _):
        expect("rev2" not in self.traits, self.name, "RECENT in IMAP4rev2")

    def told_expunge(self, number):
        expect(not self.traits & {"qresync", "uidonly"}, self.name,
               "EXPUNGE where VANISHED was asked for")
        expect(self.may_renumber(), self.name, "EXPUNGE within",
               self.running)
        expect(1 <= number <= len(self.uids), self.name, "EXPUNGE", number,
               "of", len(self.uids))
        self.lose(self.uids.pop(number - 1))

    def told_vanished(self, response):
        expect(self.traits & {"qresync", "uidonly"}, self.name,
               "VANISHED unasked")
        earlier = isinstance(response[1], list)
        uids = uid_set(response[2 if earlier else 1])
        if not earlier:
            expect(self.may_renumber(), self.name, "VANISHED within",
                   self.running)
        for uid in uids:
            if uid in self.modseqs or uid in self.uids:
                if uid in self.uids:
                    self.uids.remove(uid)
                self.lose(uid)
            elif not earlier:
                del self.uids[self.unknown(uid, "VANISHED")]

    def unknown(self, uid, what):
        """The place of one whose number was told, but not its UID: between
        those that are known, one is like the other."""
        at = 0
        for i, known in enumerate(self.uids):
            if known is not None and (known < uid or
                                      "uidonly" in self.traits):
                at = i + 1
        expect(at < len(self.uids) and self.uids[at] is None, self.name,
               what, uid, "which was not told to be there")
        return at

    def lose(self, uid):
        self.flags.pop(uid, None)
        self.modseqs.pop(uid, None)

    def told_fetch(self, number, items):
        expect("uidonly" not in self.traits, self.name,
               "a message number in UIDONLY")
        expect(1 <= number <= len(self.uids), self.name, "FETCH", number,
               "of", len(self.uids))
        found = dict(zip(items[::2], items[1::2]))
        known = self.uids[number - 1]
        if "UID" in found:
            uid = int(found["UID"])
            expect(known in (None, uid), self.name, number, "was UID", known,
                   "and is", uid)
            before = [u for u in self.uids[:number - 1] if u is not None]
            behind = [u for u in self.uids[number:] if u is not None]
            expect(not before or before[-1] < uid, self.name, uid,
                   "behind", before[-1:])
            expect(not behind or uid < behind[0], self.name, uid,
                   "before", behind[:1])
            self.uids[number - 1] = uid
        elif known is not None:
            uid = known
        else:
            return
        self.told_items(uid, items)

    def told_uidfetch(self, uid, items):
        expect("uidonly" in self.traits, self.name, "UIDFETCH unasked")
        self.told_items(uid, items)

    def told_items(self, uid, items):
        found = dict(zip(items[::2], items[1::2]))
        if "uidonly" in self.traits and uid not in self.uids:
            self.uids[self.unknown(uid, "UIDFETCH")] = uid
            # There are no numbers: how many are unknown is all that counts.
            self.uids.sort(key=lambda u: (u is None, u or 0))
        if "MODSEQ" in found:
            modseq = int(found["MODSEQ"][0])
            expect(modseq >= self.modseqs.get(uid, 0), self.name, "MODSEQ of",
                   uid, "went back from", self.modseqs.get(uid), "to", modseq)
            self.modseqs[uid] = modseq
        elif "FLAGS" in found:
            expect(not self.traits & {"condstore", "qresync"}, self.name,
                   "FLAGS without MODSEQ")
        if "FLAGS" in found:
            if "rev2" in self.traits:
                expect("\\Recent" not in found["FLAGS"], self.name,
                       "\\Recent in IMAP4rev2")
            self.flags[uid] = frozenset(found["FLAGS"]) - {"\\Recent"}
        for item, value in found.items():
            if item.startswith("BODY[HEADER"):
                ident = re.search(r"<(.+)>", value)[1]
                known = self.truth.setdefault((self.validity, uid), ident)
                expect(known == ident, self.name, "UID", uid, "was", known,
                       "and is", ident)

    # -- what a client does now and then
    def numbers(self):
        """How messages are named in this session."""
        return "UID " if "uidonly" in self.traits else ""

    def learn(self):
        """The UIDs and flags of everything."""
        if self.uids:
            self.run("UID FETCH 1:* (FLAGS)")
        expect(None not in self.uids, self.name, "was not told all UIDs:",
               self.uids)

    def select(self, mailbox, parameters=""):
        self.forget()
        self.selected = True
        said = self.run(f'SELECT "{mailbox}"{parameters}')
        expect(self.validity is not None, self.name, "no UIDVALIDITY")
        return said

    def resync(self, mailbox, high):
        """QRESYNC after a lost connection: then all that was known must be
        what a full look finds (RFC 7162 3.2.5.1: of other messages nothing is
        told)."""
        validity, known = self.validity, [u for u in self.uids if u]
        flags, modseqs = dict(self.flags), dict(self.modseqs)
        self.drop()
        self.connect()
        if not known or validity is None:
            self.select(mailbox)
            return
        self.uids, self.flags, self.modseqs = [], flags, modseqs
        self.validity, self.high, self.selected = validity, high, True
        gone_before = set(known)
        self.begin(f'SELECT "{mailbox}" (QRESYNC ({validity} {high} '
                   f'{as_set(known)}))')
        vanished = set()
        while True:
            data = self.say_read()
            if not data.startswith(b"* "):
                break
            if data.startswith(b"* OK"):
                self.code(data.decode("latin-1"))
                continue
            response = parse(data)
            if response[1] == "VANISHED":
                expect(response[2] == ["EARLIER"], self.name, data)
                gone = set(uid_set(response[3]))
                expect(gone <= gone_before, self.name, "VANISHED (EARLIER)",
                       "of what was not asked for:", gone - gone_before)
                vanished |= gone
                for uid in gone:
                    self.lose(uid)
            elif response[2:3] == ["FETCH"] and "uidonly" not in self.traits:
                self.uids_of_fetch(response)
            else:
                self.untagged(data)
        text = data.decode("latin-1").split(" ", 1)[1]
        expect(text.startswith("OK"), self.name, "QRESYNC:", text)
        self.running = None
        believed = {u: self.flags.get(u) for u in
                    (set(known) - vanished) | set(self.flags)}
        self.flags, self.modseqs = {}, {}
        self.learn()
        there = set(self.uids)
        expect(set(believed) <= there, self.name, "after QRESYNC: too many",
               set(believed) - there)
        expect(there & set(known) <= set(believed), self.name,
               "after QRESYNC: too few", there & set(known) - set(believed))
        for uid, flags in believed.items():
            expect(flags == self.flags[uid], self.name, "after QRESYNC: UID",
                   uid, "has", self.flags[uid], "not", flags)

    def uids_of_fetch(self, response):
        number, items = int(response[1]), response[3]
        found = dict(zip(items[::2], items[1::2]))
        expect("UID" in found, self.name, "a FETCH of QRESYNC without UID")
        expect(number <= len(self.uids), self.name, "FETCH before EXISTS")
        self.told_items(int(found["UID"]), items)
