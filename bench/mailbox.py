"""One large mailbox over one connection: opened, listed, changed, searched,
sorted, read and emptied. The messages are those of messages.py."""
import os
import random
import socket
import statistics
import time

from messages import Filler, Words
from systems import DOMAIN, PASSWORD

LOGIN = f"x00@{DOMAIN}"
DEADLINE = 900
STRUCTURES = "(ENVELOPE BODYSTRUCTURE INTERNALDATE RFC822.SIZE)"


class Connection:
    """Commands one after the other; answers are counted, not kept."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), DEADLINE)
        self.room = bytearray(1 << 20)
        self.count = 0
        self.socket.recv(4096)
        self.run(f'LOGIN "{LOGIN}" "{PASSWORD}"')

    def run(self, command):
        """Seconds until it is answered, and bytes of the answer."""
        self.count += 1
        tag = b"b%d" % self.count
        begin = time.perf_counter()
        self.socket.sendall(tag + b" " + command.encode() + b"\r\n")
        total, tail = 0, b"\r\n"
        while True:
            n = self.socket.recv_into(self.room)
            if n == 0:
                raise SystemExit(f"bench: {command}: the server closed")
            total += n
            tail = (tail + self.room[max(0, n - 8192):n])[-8192:]
            if tail.endswith(b"\r\n"):
                last = tail[:-2].rpartition(b"\n")[2]
                if last.startswith(tag + b" "):
                    break
        seconds = time.perf_counter() - begin
        if not last.startswith(tag + b" OK"):
            raise SystemExit(f"bench: {command}: {bytes(last)!r}")
        return seconds, total

    def close(self):
        self.run("LOGOUT")
        self.socket.close()


def forget_files(directory):
    """The system keeps nothing of them in memory; whoever may write them may
    ask for that."""
    os.sync()
    for folder, _, names in os.walk(directory):
        for name in names:
            try:
                fd = os.open(f"{folder}/{name}", os.O_RDONLY)
            except OSError:
                continue
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(fd)


class MailboxBench:
    def __init__(self, system, note, count):
        self.system, self.note, self.count = system, note, count
        words = Words(random.Random(1)).words
        self.seldom = [words[n] for n in (3000, 5000, 7000, 9000)]

    def connect(self, select=True):
        self.imap = Connection(self.system.imap)
        if select:
            self.imap.run("SELECT INBOX")

    def median(self, commands):
        return statistics.median(self.imap.run(c)[0] for c in commands) * 1000

    def restart_cold(self):
        self.imap.close()
        self.system.stop()
        forget_files(self.system.dir)
        self.system.start()
        self.system.wait_ready()
        self.connect(select=False)      # the login is not what is measured

    def fill(self):
        begin = time.monotonic()
        filler = Filler("127.0.0.1", self.system.imap, LOGIN, PASSWORD)
        filler.fill(self.count)
        filler.command("LOGOUT")
        self.note("messages appended", self.count /
                  (time.monotonic() - begin))
        begin = time.monotonic()
        self.system.settle()
        self.note("until everything is indexed, ms",
                  1000 * (time.monotonic() - begin))

    def read(self):
        self.connect(select=False)
        self.imap.run("SELECT INBOX")
        self.note("SELECT, ms", self.median(["SELECT INBOX"] * 7))
        self.note("UID FETCH 1:* (FLAGS), ms",
                  self.median(["UID FETCH 1:* (FLAGS)"] * 5))
        self.note("FETCH of structures, for the first time, ms",
                  1000 * self.imap.run(f"FETCH 1:* {STRUCTURES}")[0])
        self.note("FETCH of structures, ms",
                  self.median([f"FETCH 1:* {STRUCTURES}"] * 3))

    def search(self):
        subject = [f"SEARCH SUBJECT {w}" for w in self.seldom]
        self.imap.run(subject[0])
        self.note("SEARCH SUBJECT, ms", self.median(subject))
        text = [f"SEARCH TEXT {w}" for w in self.seldom[:3]]
        self.imap.run(text[0])
        self.note("SEARCH TEXT, a word, ms", self.median(text))
        for row, command in (
                ("SORT (DATE), ms", "SORT (DATE) UTF-8 ALL"),
                ("THREAD REFERENCES, ms", "THREAD REFERENCES UTF-8 ALL")):
            self.imap.run(command)
            self.note(row, self.median([command] * 3))

    def change(self):
        self.note("STORE 1:* +FLAGS.SILENT, ms", statistics.median(
            self.median([f"STORE 1:* {sign}FLAGS.SILENT (\\Flagged)"])
            for sign in "+-+-+"))
        seconds, size = min(self.imap.run("FETCH 1:* BODY.PEEK[]")
                            for _ in range(2))
        self.note("FETCH of all bodies, MB", size / 1e6 / seconds)

    def cold(self):
        self.restart_cold()
        self.note("SELECT, nothing cached, ms", self.median(["SELECT INBOX"]))
        self.restart_cold()
        self.imap.run("SELECT INBOX")
        self.note("SEARCH TEXT, a word, nothing cached, ms",
                  self.median([f"SEARCH TEXT {self.seldom[3]}"]))

    def expunge(self):
        self.imap.run("STORE 1:* +FLAGS.SILENT (\\Deleted)")
        self.note("EXPUNGE of all, ms", self.median(["EXPUNGE"]))

    def everything(self):
        self.system.start()
        try:
            self.system.wait_ready()
            self.fill()
            self.read()
            self.search()
            self.change()
            self.cold()
            for name, kib in self.system.memory().items():
                if name in ("access", "store", "index", "imap"):
                    self.note(f"KiB of {name}", kib)
            self.expunge()
            self.imap.close()
        finally:
            self.system.stop()

