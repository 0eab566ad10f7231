"""A mail server that does what a test wants, in every state of a session.

    with Peer(rcpt="550 5.1.1 nobody") as peer:
        ... peer.port, peer.messages, peer.commands

What it says to greeting, hello, starttls, mail, rcpt, data, dot and quit is the
usual unless given: a reply, or a way to misbehave (see BEHAVIOURS), or a
list of these, one for each time, the last one for ever.
"""
import contextlib
import os
import socket
import ssl
import subprocess
import threading
import time

STALL = 60


class Gone(Exception):
    pass


def drop(session):
    raise Gone


def reset(session):
    """Gone without a word, and with an RST."""
    session.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                              b"\1\0\0\0\0\0\0\0")
    raise Gone


def stall(session):
    session.peer.stopping.wait(STALL)
    raise Gone


def trickle(session):
    """One byte now and then, never a whole reply."""
    while not session.peer.stopping.wait(0.05):
        session.write(b"2")


def endless(session):
    """A reply that has no last line."""
    while not session.peer.stopping.is_set():
        session.write(b"250-and another thing\r\n" * 1000)


def huge(session):
    """A line that has no end."""
    while not session.peer.stopping.is_set():
        session.write(b"2" * 65536)


def rubbish(session):
    session.write(b"\0\xff\xfe this is no SMTP\r\n")


def disagreeing(session):
    session.write(b"250-yes\r\n550 no\r\n")


BEHAVIOURS = {f.__name__: f for f in (
    drop, reset, stall, trickle, endless, huge, rubbish, disagreeing)}


class Session:
    def __init__(self, peer, connection):
        self.peer, self.socket = peer, connection
        self.buffer = b""
        self.tls = False
        self.counts = {}

    def write(self, data):
        self.socket.sendall(data)

    def line(self):
        while b"\n" not in self.buffer:
            more = self.socket.recv(65536)
            if not more:
                raise Gone
            self.buffer += more
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.rstrip(b"\r")

    def take(self, n):
        while len(self.buffer) < n:
            more = self.socket.recv(65536)
            if not more:
                raise Gone
            self.buffer += more
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def say(self, state, usual):
        """What the script wants; True when it was the yes of this state."""
        wanted = self.peer.script.get(state, usual)
        if isinstance(wanted, list):
            n = self.peer.count(state)
            wanted = wanted[min(n, len(wanted) - 1)]
        if wanted is None:
            wanted = usual
        if wanted in BEHAVIOURS:
            BEHAVIOURS[wanted](self)
            return False
        self.write(wanted.encode() + b"\r\n")
        return wanted[0] in "23"

    def text(self):
        lines = []
        while True:
            line = self.line()
            if line == b".":
                return b"".join(x + b"\r\n" for x in lines)
            lines.append(line[1:] if line.startswith(b"..") else line)

    def hello(self, verb):
        if verb == "HELO":
            return self.say("hello", "250 peer")
        offers = [] if "hello" in self.peer.script else \
            list(self.peer.offers)
        if self.peer.tls is not None and not self.tls:
            offers.append("STARTTLS")
        self.write(b"".join(b"250-" + o.encode() + b"\r\n" for o in
                            (["peer"] + offers if offers else [])))
        return self.say("hello", "250 ENHANCEDSTATUSCODES")

    def starttls(self):
        if not self.say("starttls", "220 go on"):
            return
        if self.peer.handshake is not None:
            self.peer.handshake(self)
        self.socket = self.peer.tls.wrap_socket(self.socket,
                                                server_side=True)
        self.buffer = b""
        self.tls = True

    def deliver(self, data):
        self.peer.messages.append(dict(
            sender=self.sender, recipients=list(self.accepted), data=data,
            tls=self.tls, session=self, mail=self.mail))
        if self.peer.lmtp:
            for r in self.accepted:
                self.say("dot:" + r, self.peer.script.get(
                    "dot", "250 2.1.5 taken"))
            return
        self.say("dot", "250 2.0.0 taken")

    def command(self, line):
        verb, _, rest = line.decode("utf-8", "replace").partition(" ")
        verb = verb.upper()
        self.peer.commands.append(line.decode("utf-8", "replace"))
        if verb in ("EHLO", "LHLO", "HELO"):
            self.hello(verb)
        elif verb == "STARTTLS":
            self.starttls()
        elif verb == "MAIL":
            self.mail = rest
            self.sender = rest[rest.find("<") + 1:rest.find(">")]
            self.accepted = []
            self.say("mail", "250 2.1.0 ok")
        elif verb == "RCPT":
            address = rest[rest.find("<") + 1:rest.find(">")]
            state = "rcpt:" + address if "rcpt:" + address in \
                self.peer.script else "rcpt"
            if self.say(state, "250 2.1.5 ok"):
                self.accepted.append(address)
        elif verb == "DATA":
            if not self.accepted:
                self.write(b"503 5.5.1 nobody\r\n")
            elif self.say("data", "354 go on"):
                self.deliver(self.text())
        elif verb == "BDAT":
            self.deliver(self.take(int(rest.split()[0])))
        elif verb == "AUTH":
            self.say("auth", "235 2.7.0 welcome")
        elif verb == "QUIT":
            self.say("quit", "221 2.0.0 bye")
            raise Gone
        else:
            self.write(b"250 2.0.0 ok\r\n")

    def run(self):
        try:
            self.say("greeting", "220 peer ESMTP")
            while True:
                self.command(self.line())
        except (Gone, OSError, ssl.SSLError, ValueError):
            pass
        finally:
            with contextlib.suppress(OSError):
                self.socket.close()


class Peer:
    def __init__(self, address="127.0.0.1", port=0, tls=None, handshake=None,
                 offers=(), lmtp=False, path=None, **script):
        self.script, self.offers, self.lmtp = script, offers, lmtp
        self.tls, self.handshake = tls, handshake
        self.messages, self.commands, self.sessions = [], [], 0
        self.counts = {}
        self.stopping = threading.Event()
        if path is not None:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.bind(path)
            os.chmod(path, 0o666)
        else:
            self.socket = socket.socket()
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.socket.bind((address, port))
        self.socket.listen(200)
        if path is None:
            self.address, self.port = self.socket.getsockname()

    def count(self, state):
        n = self.counts.get(state, 0)
        self.counts[state] = n + 1
        return n

    def accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.sessions += 1
            connection.settimeout(STALL)
            threading.Thread(target=Session(self, connection).run,
                             daemon=True).start()

    def __enter__(self):
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *exception):
        self.stopping.set()
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    def wait(self, n=1, seconds=20):
        """Until so many messages are here; they."""
        deadline = time.monotonic() + seconds
        while len(self.messages) < n and time.monotonic() < deadline:
            time.sleep(0.02)
        return self.messages


def certificate(folder, name, days=30, not_before=None):
    """A key and a certificate that vouches for itself: a server's context."""
    base = os.path.join(folder, f"{name}.{days}")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", base + ".key",
         "-out", base + ".pem", "-subj", f"/CN={name}", "-days", str(days),
         "-addext", f"subjectAltName=DNS:{name}"],
        check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(base + ".pem", base + ".key")
    return context, base + ".pem"
