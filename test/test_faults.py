"""Nothing acknowledged is lost, whatever dies.

While clients send and others read, every role is killed with SIGKILL again
and again; once the disk is full. Afterwards every message that got 250 is
in its mailbox exactly once, every UID still means the same message, and no
client saw a protocol error: a lost connection or a temporary refusal is all
that a fault may cost.
"""
import base64
import contextlib
import ctypes
import email
import imaplib
import os
import random
import re
import signal
import smtplib
import socket
import subprocess
import sys
import tempfile
import threading
import time

import pytest
from harness import DOMAIN, PASSWORD, Postrider, alive, eventually

USERS = 8
SENDERS = 20
READERS = 10


class Senders:
    """SENDERS threads; each message has an id of its own for each attempt."""

    def __init__(self, server, body=b""):
        self.server = server
        self.body = body
        self.stop = threading.Event()
        self.lock = threading.Lock()
        self.accepted = {}              # id -> [user, ...]
        self.refused = 0
        self.lost = 0
        self.errors = []
        self.threads = [threading.Thread(target=self.run, args=(n,))
                        for n in range(SENDERS)]

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *exception):
        self.stop.set()
        for t in self.threads:
            t.join(60)
            assert not t.is_alive(), "a sender hangs"

    def run(self, number):
        chance = random.Random(number)
        count = 0
        while not self.stop.is_set():
            try:
                with smtplib.SMTP("127.0.0.1", self.server.port("smtp"),
                                  "client.example", timeout=30) as s:
                    for _ in range(chance.randint(1, 20)):
                        if self.stop.is_set():
                            return
                        count += 1
                        self.one(s, f"{number}.{count}@fault.example", chance)
            except (smtplib.SMTPServerDisconnected, OSError) as error:
                if isinstance(error, smtplib.SMTPResponseException):
                    self.response(error)
                with self.lock:
                    self.lost += 1
                time.sleep(0.02)
            except Exception as error:              # noqa: BLE001
                with self.lock:
                    self.errors.append(repr(error))
                return

    def one(self, s, id, chance):
        to = chance.sample(range(USERS), chance.randint(1, 3))
        text = (f"From: <x@client.example>\r\nTo: <y@{DOMAIN}>\r\n"
                f"Message-ID: <{id}>\r\nSubject: {id}\r\n\r\n").encode()
        try:
            refused = s.sendmail("x@client.example",
                                 [f"user{n}@{DOMAIN}" for n in to],
                                 text + self.body + b"\r\n")
            for answer in refused.values():
                self.check(answer)
            with self.lock:
                self.accepted[id] = [n for n in to
                                     if f"user{n}@{DOMAIN}" not in refused]
        except smtplib.SMTPRecipientsRefused as error:
            for answer in error.recipients.values():
                self.check(answer)
        except smtplib.SMTPResponseException as error:
            self.response(error)

    def response(self, error):
        self.check((error.smtp_code, error.smtp_error))

    def check(self, answer):
        """Only a temporary refusal is right here."""
        with self.lock:
            self.refused += 1
            if not 400 <= answer[0] <= 499:
                self.errors.append(f"answer {answer}")


class Readers:
    """READERS threads that select, fetch, flag and remember what a UID meant."""

    def __init__(self, server):
        self.server = server
        self.stop = threading.Event()
        self.lock = threading.Lock()
        self.meaning = {}               # (user, uidvalidity, uid) -> subject
        self.errors = []
        self.rounds = 0
        self.threads = [threading.Thread(target=self.run, args=(n,))
                        for n in range(READERS)]

    __enter__ = Senders.__enter__

    def __exit__(self, *exception):
        self.stop.set()
        for t in self.threads:
            t.join(60)
            assert not t.is_alive(), "a reader hangs"

    def run(self, number):
        user = number % USERS
        while not self.stop.is_set():
            try:
                self.session(user)
            except imaplib.IMAP4.abort:
                pass                            # the connection was lost
            except imaplib.IMAP4.error as error:
                # NO for the moment is fine, BAD never is.
                if not re.search(r"UNAVAILABLE|SERVERBUG|temporar", str(error),
                                 re.I):
                    self.wrong(error)
                    return
            except OSError:
                pass
            except Exception as error:          # noqa: BLE001
                self.wrong(error)
                return
            time.sleep(0.02)

    def wrong(self, error):
        with self.lock:
            self.errors.append(repr(error))

    def session(self, user):
        socket.setdefaulttimeout(30)
        c = imaplib.IMAP4_SSL("127.0.0.1", self.server.port("imaps"),
                              ssl_context=self.server.tls_context())
        with contextlib.closing(c.sock):
            c.login(f"user{user}@{DOMAIN}", PASSWORD)
            for _ in range(20):
                if self.stop.is_set():
                    return
                self.look(c, user)

    def look(self, c, user):
        typ, data = c.select()
        if typ != "OK":
            assert b"UNAVAILABLE" in data[0], data
            return
        validity = c.response("UIDVALIDITY")[1][0]
        typ, data = c.uid("fetch", "1:*",
                          "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
        if typ != "OK":
            assert b"UNAVAILABLE" in data[0], data
            return
        with self.lock:
            self.rounds += 1
            for item in data:
                if isinstance(item, tuple):
                    uid = re.search(rb"UID (\d+)", item[0])[1]
                    key = (user, validity, uid)
                    subject = item[1].strip()
                    if self.meaning.setdefault(key, subject) != subject:
                        self.errors.append(f"{key} changed its meaning")


def delivered(server):
    """{user: [Message-ID, ...]} as IMAP shows it now."""
    result = {}
    for user in range(USERS):
        c = imaplib.IMAP4_SSL("127.0.0.1", server.port("imaps"),
                              ssl_context=server.tls_context())
        c.login(f"user{user}@{DOMAIN}", PASSWORD)
        c.select(readonly=True)
        _, data = c.uid("fetch", "1:*",
                        "(BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])")
        result[user] = [email.message_from_bytes(i[1])["Message-ID"][1:-1]
                        for i in data if isinstance(i, tuple)]
        c.logout()
    return result


def check_all(server, senders, readers=None):
    def queue_is_empty():
        return "fault.example" not in server.cli("queue", "list").stdout and \
            server.cli("queue", "list", "--json").stdout.strip() in (
                "[]", "")
    eventually(queue_is_empty, 60, 0.3)
    boxes = delivered(server)
    wrong = []
    for id, users in senders.accepted.items():
        for user in users:
            times = boxes[user].count(id)
            if times != 1:
                wrong.append(f"{id} is {times} times in user{user}")
    assert not wrong, wrong[:10]
    for user, ids in boxes.items():
        twice = {i for i in ids if ids.count(i) > 1}
        assert not twice, f"twice in user{user}: {sorted(twice)[:5]}"
    assert not senders.errors, senders.errors[:5]
    if readers:
        assert not readers.errors, readers.errors[:5]
        assert readers.rounds > 0


SETTINGS = """
smtp { max_sessions_per_address = 1000; }
imap { max_sessions_per_address = 1000; }
log { level = "info"; }
"""


@pytest.mark.parametrize("role", ["mx", "access", "store", "signer"])
def test_a_role_is_killed_again_and_again(role):
    with Postrider([f"user{n}" for n in range(USERS)], SETTINGS) as server:
        before = server.role_pids()
        assert before.get(role), before
        with Senders(server) as senders, Readers(server) as readers:
            for _ in range(8):
                time.sleep(1.0)
                pids = eventually(lambda: server.role_pids().get(role), 5)
                for pid in pids:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                # back within a second
                eventually(lambda: [p for p in server.role_pids().get(role, [])
                                    if p not in pids], 3, 0.02)
            time.sleep(1.0)
        assert len(senders.accepted) > 100, (len(senders.accepted),
                                             senders.refused, senders.lost)
        check_all(server, senders, readers)


def test_every_role_at_once():
    with Postrider([f"user{n}" for n in range(USERS)], SETTINGS) as server:
        with Senders(server) as senders, Readers(server) as readers:
            chance = random.Random(1)
            for _ in range(15):
                time.sleep(0.5)
                pids = [p for role in server.role_pids().values() for p in role]
                if pids:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(chance.choice(pids), signal.SIGKILL)
            time.sleep(1.0)
        assert len(senders.accepted) > 100
        check_all(server, senders, readers)


def test_the_supervisor_is_killed_and_all_comes_back():
    with Postrider([f"user{n}" for n in range(USERS)], SETTINGS) as server:
        with Senders(server) as senders:
            for _ in range(3):
                time.sleep(1.5)
                children = server.pids()[1:]
                os.kill(server.process.pid, signal.SIGKILL)
                server.process.wait()
                # its roles go with it
                eventually(lambda: not any(alive(p) for p in children), 5)
                server.start()
        assert len(senders.accepted) > 50
        check_all(server, senders)


MS_REMOUNT = 32


def mount(path, options, flags=0):
    """A tmpfs; by the system call, since mount(8) looks at the user id."""
    if ctypes.CDLL(None, use_errno=True).mount(
            b"small", path.encode(), b"tmpfs", flags, options.encode()) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), path)


NAMESPACE = ["unshare", "--user", "--map-current-user", "--keep-caps",
             "--mount", "--propagation", "unchanged"]


def again_where_we_may_mount(request):
    """Run this test in a user namespace of its own: same user, but it may
    mount there."""
    if subprocess.run([*NAMESPACE, "true"], capture_output=True).returncode:
        pytest.skip("may neither mount nor make a user namespace here")
    subprocess.run(
        [*NAMESPACE, sys.executable, "-m", "pytest", "-q", "-p",
         "no:cacheprovider", f"{__file__}::{request.node.name}"],
        env={**os.environ, "MAY_MOUNT": "1"}, check=True)


@pytest.mark.parametrize("margin", ["8M", "0"], ids=["margin", "to-the-brim"])
def test_the_disk_is_full(margin, request):
    """Its data lives on a small file system of its own. With a margin the
    store refuses before the disk is full; without, the disk refuses."""
    small = tempfile.mkdtemp(prefix="postrider-test-")
    os.chmod(small, 0o755)
    try:
        mount(small, "size=96m,mode=755")
    except PermissionError:
        os.rmdir(small)
        assert "MAY_MOUNT" not in os.environ
        again_where_we_may_mount(request)
        return
    settings = SETTINGS + f"""
queue {{ min_free_space = {margin}; retry_first = 1s; retry_longest = 4s; }}
store {{ write_buffer = 8M; }}
"""
    incompressible = base64.encodebytes(os.urandom(60000)).replace(
        b"\n", b"\r\n")
    try:
        with Postrider([f"user{n}" for n in range(USERS)], settings,
                       data=os.path.join(small, "data")) as server:
            with Senders(server, incompressible) as senders, \
                    Readers(server) as readers:
                # until it is full: refusals begin, and only temporary ones
                eventually(lambda: senders.refused > 200 or senders.errors, 60)
                full = len(senders.accepted)
                assert full > 0
                # more room: mail is taken again
                mount(small, "size=1g", MS_REMOUNT)
                eventually(lambda: len(senders.accepted) > full + 50
                           or senders.errors, 60)
            check_all(server, senders, readers)
    finally:
        subprocess.run(["umount", "-l", small], check=os.geteuid() == 0)
        with contextlib.suppress(OSError):
            os.rmdir(small)
