"""Ten sessions on one mailbox, doing what comes to their minds.

Each session believes what it is told (imap_believer.py) and fails when that
breaks an earlier promise. What they do is drawn from a seed, printed when it
fails; POSTRIDER_SEED repeats it, POSTRIDER_STEPS makes it longer.
"""
import os
import random

import pytest

from harness import DOMAIN, PASSWORD, Postrider
from imap_believer import Believer, Broken, as_set, expect

STEPS = int(os.environ.get("POSTRIDER_STEPS", "400"))
TRAITS = ((), ("condstore",), ("qresync",), ("rev2",), ("qresync", "rev2"),
          ("uidonly",), ("qresync", "compress"), ("compress",), (),
          ("qresync", "uidonly"))
FLAGS = ("\\Seen", "\\Flagged", "\\Deleted", "\\Answered", "Work", "$Forwarded")


class Storm:
    """The sessions, and what is known of the mailbox as a whole."""

    def __init__(self, server, seed):
        self.rnd = random.Random(seed)
        self.serial = 0
        self.truth = {}
        self.dead = set()       # (validity, uid): expunged, acknowledged
        port, login = server.port("imap"), f"ann@{DOMAIN}"
        self.sessions = [
            Believer(f"s{i}", port, login, PASSWORD, traits, self.truth)
            for i, traits in enumerate(TRAITS)]
        self.sessions[0].run("CREATE other")
        for s in self.sessions:
            self.enter(s)

    # -- helpers
    def enter(self, s):
        s.select("INBOX", self.rnd.choice(("", "", " (CONDSTORE)"))
                 if s.traits & {"condstore", "qresync"} else "")
        s.learn()
        back = {(s.validity, u) for u in s.uids} & self.dead
        expect(not back, s.name, "expunged messages are back:", back)

    def message(self):
        self.serial += 1
        return (f"Message-ID: <m{self.serial}@{DOMAIN}>\r\n"
                f"Subject: number {self.serial}\r\nFrom: ann@{DOMAIN}\r\n\r\n"
                + "text " * self.rnd.randrange(40) + "\r\n").encode()

    def some(self, s):
        """Messages of the session, as a set of it; None: it has none."""
        if "uidonly" in s.traits:
            known = [u for u in s.uids if u is not None]
        else:
            known = list(range(1, len(s.uids) + 1))
        if not known:
            return None
        count = min(len(known), self.rnd.choice((1, 1, 2, 5, 1000)))
        return as_set(self.rnd.sample(known, count))

    def some_uids(self, s):
        known = [u for u in s.uids if u is not None]
        if not known:
            return None
        return as_set(self.rnd.sample(known, min(len(known),
                      self.rnd.choice((1, 2, 3, 8)))))

    # -- what a session may begin; each gives the command, or None
    def append(self, s):
        data = self.message()
        flags = " ".join(self.rnd.sample(FLAGS, self.rnd.randrange(3)))
        return f"APPEND INBOX ({flags}) {{{len(data)}+}}\r\n", data

    def multiappend(self, s):
        parts, extra = [], b""
        for _ in range(self.rnd.randint(2, 4)):
            data = self.message()
            extra += b" () {%d+}\r\n" % len(data) + data
        return "APPEND INBOX", extra

    def store(self, s):
        where = self.some(s)
        if where is None:
            return None
        condition = ""
        if s.traits & {"condstore", "qresync"} and self.rnd.random() < 0.4:
            condition = f" (UNCHANGEDSINCE {max(s.modseqs.values(), default=1)})"
        how = self.rnd.choice(("FLAGS", "+FLAGS", "-FLAGS", "+FLAGS.SILENT",
                               "-FLAGS.SILENT"))
        flags = " ".join(self.rnd.sample(FLAGS, self.rnd.randint(1, 2)))
        return f"{s.numbers()}STORE {where}{condition} {how} ({flags})"

    def delete(self, s):
        where = self.some_uids(s)
        return where and f"UID STORE {where} +FLAGS (\\Deleted)"

    def expunge(self, s):
        if "uidonly" in s.traits or self.rnd.random() < 0.5:
            where = self.some_uids(s)
            return where and f"UID EXPUNGE {where}"
        return "EXPUNGE"

    def fetch(self, s):
        where = self.some(s)
        items = self.rnd.choice((
            "FLAGS", "(UID FLAGS)", "(FLAGS INTERNALDATE RFC822.SIZE)",
            "(UID BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])", "BODY[TEXT]",
            "(ENVELOPE BODYSTRUCTURE)"))
        return where and f"{s.numbers()}FETCH {where} {items}"

    def learn(self, s):
        return "UID FETCH 1:* (FLAGS)" if s.uids else None

    def idents(self, s):
        return ("UID FETCH 1:* (BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])"
                if s.uids else None)

    def search(self, s):
        return f"{s.numbers()}SEARCH " + self.rnd.choice((
            "UNDELETED", "SUBJECT number", "TEXT text", "FLAGGED SEEN",
            "OR ANSWERED KEYWORD Work", "LARGER 100"))

    def noop(self, s):
        return self.rnd.choice(("NOOP", "CHECK"))

    def copy(self, s):
        where = self.some_uids(s)
        return where and f"UID COPY {where} " + self.rnd.choice(
            ("INBOX", "other"))

    def move(self, s):
        where = self.some_uids(s)
        return where and f"UID MOVE {where} other"

    WHAT = (("append", 6), ("multiappend", 2), ("store", 10), ("delete", 3),
            ("expunge", 4), ("fetch", 8), ("learn", 3), ("idents", 2),
            ("search", 3), ("noop", 6), ("copy", 2), ("move", 1))

    def begin(self, s):
        name = self.rnd.choices([w for w, _ in self.WHAT],
                                [n for _, n in self.WHAT])[0]
        command = getattr(self, name)(s)
        if command is None:
            command = "NOOP"
        if not isinstance(command, tuple):
            command = command, b""
        s.begin(*command)

    def end(self, s):
        """An answer; messages may have been expunged under its hands."""
        removes = s.running.startswith(("EXPUNGE", "UID EXPUNGE", "UID MOVE"))
        before = {u for u in s.uids if u is not None}
        s.end(good=("OK", "NO [EXPUNGEISSUED", "NO [MODIFIED"))
        if removes and s.last.startswith("OK"):
            self.dead |= {(s.validity, u) for u in before - set(s.uids)}

    # -- the rest of a life
    def idle(self, s):
        if not s.idling:
            s.begin("IDLE")
            expect(s.wire.response().startswith(b"+"), s.name, "IDLE")
            s.running, s.idling = None, True
            return
        while s.wire.ready():
            s.untagged(s.say_read())
        if self.rnd.random() < 0.5:
            s.wire.send(b"DONE\r\n")
            s.running = "IDLE"
            s.idling = False
            s.end()

    def lose(self, s):
        if "qresync" not in s.traits:
            s.drop()
            s.connect()
            self.enter(s)
            return
        high = s.high
        if self.rnd.random() < 0.5:     # everything is told: as clients do
            s.run("NOOP")
            s.learn()
            high = max([high, *s.modseqs.values()])
        else:                           # what was known when it was selected
            self.enter(s)
            high = s.high
        for other in self.rnd.sample(self.sessions, 3):
            if other is not s and not other.idling:
                self.begin(other)
                self.end(other)
        s.resync("INBOX", high)

    def step(self):
        chance = self.rnd.random()
        s = self.rnd.choice(self.sessions)
        if s.idling or chance < 0.08:
            self.idle(s)
        elif chance < 0.12:
            self.lose(s)
        elif chance < 0.14:
            self.enter(s)
        else:
            busy = [x for x in self.rnd.sample(
                self.sessions, self.rnd.randint(1, 4)) if not x.idling]
            for x in busy:
                self.begin(x)
            for x in busy:
                self.end(x)

    def agree(self):
        """At the end all believe the same, and it is what is there."""
        for s in self.sessions:
            while s.idling:
                self.idle(s)
        for s in self.sessions:
            s.run("NOOP")
            s.learn()
            s.run("UID FETCH 1:* (BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])",
                  good=("OK", "BAD") if not s.uids else ("OK",))
        first = self.sessions[0]
        for s in self.sessions[1:]:
            expect(s.uids == first.uids, s.name, "believes in", s.uids,
                   "and", first.name, "in", first.uids)
            expect(s.flags == first.flags, s.name, "believes other flags:",
                   {u: (s.flags[u], first.flags[u]) for u in s.uids
                    if s.flags[u] != first.flags[u]})


@pytest.mark.parametrize("turn", range(2))
def test_ten_sessions_on_one_mailbox(turn):
    seed = int(os.environ.get("POSTRIDER_SEED", "0")) or random.randrange(
        1, 1 << 32)
    with Postrider(settings="auth { plaintext_on_loopback = yes; }\n"
                   "roles { access = 2; }") as server:
        storm = Storm(server, seed)
        try:
            for step in range(STEPS):
                storm.step()
            storm.agree()
        except (Broken, EOFError, TimeoutError) as broken:
            for s in storm.sessions:
                last = 80 if str(broken).startswith(s.name + " ") else 15
                print(s.name, sorted(s.traits), s.running, *s.log[-last:],
                      sep="\n    ")
            raise AssertionError(f"POSTRIDER_SEED={seed}: {broken!r}") \
                from broken
