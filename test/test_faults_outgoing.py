"""10 000 messages go out while relay, resolver and store are killed.

Nothing is lost. A message comes twice only where RFC 5321 allows it: when the
connection it went through broke behind its final dot, so that nobody could
know. The receiving server here notes for each message on which connection it
came, and how that connection ended.
"""
import base64
import os
import random
import re
import signal
import socket
import threading
import time

from harness import DOMAIN, PASSWORD, Postrider, eventually
from internet import Dns

MESSAGES = 10000
DOMAINS = 40
SENDERS = 8
KILLS = ("relay", "resolver", "store", "relay", "store", "relay")
# What may be under way, unreported, on one connection when relay is killed.
UNREPORTED = 64


class Arrivals:
    """A mail server that writes down what comes."""

    def __init__(self):
        self.lock = threading.Lock()
        self.connections = []           # [[id, ...], ended with QUIT?]
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(s,),
                             daemon=True).start()

    def serve(self, s):
        came = [[], False]
        with self.lock:
            self.connections.append(came)
        try:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            f = s.makefile("rb")
            s.sendall(b"220 sink ESMTP\r\n")
            while self.command(s, f, came):
                pass
        except OSError:
            pass
        finally:
            s.close()

    def command(self, s, f, came):
        line = f.readline()
        verb = line[:4].upper()
        if verb == b"EHLO":
            s.sendall(b"250-sink\r\n250 PIPELINING\r\n")
        elif verb == b"DATA":
            s.sendall(b"354 go on\r\n")
            self.text(f, came)
            s.sendall(b"250 taken\r\n")
        elif verb == b"QUIT":
            came[1] = True
            s.sendall(b"221 bye\r\n")
            return False
        elif not line:
            return False
        else:
            s.sendall(b"250 fine\r\n")
        return True

    def text(self, f, came):
        ident = None
        while True:
            line = f.readline()
            if not line:
                raise OSError("lost within a message")
            if line == b".\r\n":
                break
            found = re.match(rb"Message-ID: <(.+)@", line, re.I)
            if found and ident is None:
                ident = found.group(1).decode()
        with self.lock:
            came[0].append(ident)

    def distinct(self):
        with self.lock:
            return {i for came, _ in self.connections for i in came}

    def repeated(self):
        """id -> the connections it came on, for those that came again."""
        where = {}
        with self.lock:
            for number, (came, _) in enumerate(self.connections):
                for ident in came:
                    where.setdefault(ident, []).append(number)
        return {i: c for i, c in where.items() if len(c) > 1}


def submit(server, numbers, accepted, errors):
    """Each message until it is accepted; its id stays the same."""
    todo = list(numbers)
    while todo:
        try:
            with socket.create_connection(
                    ("127.0.0.1", server.port("submission")), 60) as s:
                f = s.makefile("rb")
                talk(s, f)
                talk(s, f, b"EHLO client.example")
                talk(s, f, b"AUTH PLAIN " + base64.b64encode(
                    f"\0ann@{DOMAIN}\0{PASSWORD}".encode()))
                while todo:
                    one(s, f, todo[-1])
                    accepted.add(todo.pop())
        except (OSError, EOFError):
            time.sleep(0.05)
        except Exception as error:              # noqa: BLE001
            errors.append(repr(error))
            return


def talk(s, f, line=None):
    if line is not None:
        s.sendall(line + b"\r\n")
    while True:
        answer = f.readline()
        if not answer:
            raise EOFError
        if answer[:1] == b"4":
            raise OSError(answer)
        if answer[:1] == b"5":
            raise AssertionError(answer)
        if answer[3:4] == b" ":
            return


def one(s, f, number):
    talk(s, f, f"MAIL FROM:<ann@{DOMAIN}>".encode())
    talk(s, f, f"RCPT TO:<x@d{number % DOMAINS}.sink.test>".encode())
    talk(s, f, b"DATA")
    talk(s, f, (f"From: <ann@{DOMAIN}>\r\nTo: <x@sink.test>\r\n"
                f"Message-ID: <m{number}@{DOMAIN}>\r\nSubject: {number}\r\n"
                f"\r\nnumber {number}\r\n.").encode())


def kill_now_and_then(server, until, chance):
    while not until():
        for role in KILLS:
            time.sleep(chance.uniform(0.3, 1.2))
            if until():
                break
            pids = server.role_pids().get(role, [])
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass


def zone():
    return {"sink.test": "@ MX 10 mx\nmx A 127.0.0.1\n" + "".join(
        f"d{i} MX 10 mx\n" for i in range(DOMAINS))}


def test_nothing_is_lost_while_roles_are_killed():
    sink = Arrivals()
    with Dns(zone()) as dns, Postrider(settings=f"""
            auth {{ plaintext_on_loopback = yes }}
            limit {{ messages_per_day = 0; recipients_per_day = 0 }}
            submission {{ max_sessions_per_address = 1000 }}
            smtp {{ max_errors = 1000 }}
            {dns.settings}
            relay {{ port = {sink.port}; local_addresses = yes;
                retry_first = 1s; retry_longest = 2s; down_first = 1s;
                down_longest = 2s }}
            """) as server:
        accepted, errors = set(), []
        threads = [threading.Thread(target=submit, args=(
            server, range(n, MESSAGES, SENDERS), accepted, errors))
            for n in range(SENDERS)]
        for t in threads:
            t.start()
        deadline = time.monotonic() + 240

        def over():
            return (time.monotonic() > deadline or errors or
                    len(sink.distinct()) == MESSAGES)

        kill_now_and_then(server, over, random.Random(3))
        for t in threads:
            t.join(60)
        assert not errors, errors[:3]
        assert len(accepted) == MESSAGES
        eventually(lambda: len(sink.distinct()) == MESSAGES, 60)
        # What was sent but not yet reported when a role died comes again.
        eventually(lambda: "0 messages in the queue" in server.cli(
            "queue", "list").stdout, 60)
        repeated = sink.repeated()
        print(f"{len(repeated)} of {MESSAGES} messages came more than once")
        for ident, connections in repeated.items():
            for number in connections[:-1]:
                came, quit_said = sink.connections[number]
                assert not quit_said, f"{ident} came again without need"
                assert ident in came[-UNREPORTED:], \
                    f"{ident} was followed by others, and came again"
        assert sink.distinct() == {f"m{n}" for n in range(MESSAGES)}
    sink.listener.close()
