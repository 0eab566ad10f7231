"""SCRAM with channel binding over real TLS (RFC 5802, 7677, 5929, 9266).

Python's ssl knows tls-unique (TLS 1.2); for tls-exporter (TLS 1.3) OpenSSL's
s_client carries the conversation and tells the keying material.
"""
import base64
import hashlib
import hmac
import re
import socket
import ssl
import subprocess

import pytest
from harness import DOMAIN, PASSWORD, Postrider

ANN = f"ann@{DOMAIN}"


@pytest.fixture(scope="module")
def server():
    with Postrider(settings="auth { failure_delay = 20ms; }") as p:
        yield p


def b64(data):
    return base64.b64encode(data).decode()


class Scram:
    """The client's side of one exchange."""

    def __init__(self, hash_name, binding_type, binding,
                 password=PASSWORD, lie=b""):
        self.hash = hash_name
        self.header = f"p={binding_type},,".encode()
        self.binding = binding + lie
        self.password = password.encode()
        self.nonce = b"rOprNGfwEbeRWgbNEkqO"
        self.bare = b"n=" + ANN.encode() + b",r=" + self.nonce

    def first(self):
        return b64(self.header + self.bare)

    def hmac(self, key, data):
        return hmac.new(key, data, self.hash).digest()

    def final(self, challenge):
        challenge = base64.b64decode(challenge)
        parts = dict(p.split(b"=", 1) for p in challenge.split(b","))
        assert parts[b"r"].startswith(self.nonce)
        assert len(parts[b"r"]) >= len(self.nonce) + 16
        salted = hashlib.pbkdf2_hmac(
            self.hash, self.password, base64.b64decode(parts[b"s"]),
            int(parts[b"i"]))
        without = (b"c=" + base64.b64encode(self.header + self.binding)
                   + b",r=" + parts[b"r"])
        said = self.bare + b"," + challenge + b"," + without
        client = self.hmac(salted, b"Client Key")
        stored = hashlib.new(self.hash, client).digest()
        proof = bytes(a ^ b for a, b in zip(client, self.hmac(stored, said)))
        self.server = self.hmac(self.hmac(salted, b"Server Key"), said)
        return b64(without + b",p=" + base64.b64encode(proof))

    def check_server(self, challenge):
        assert base64.b64decode(challenge) == b"v=" + base64.b64encode(
            self.server)


class Protocol:
    """How each protocol spells AUTHENTICATE."""

    def __init__(self, name, f):
        self.name = name
        self.f = f
        self.line()
        if name == "submissions":
            self.say("EHLO client.example")
            while self.line()[3:4] == "-":
                pass

    def say(self, text):
        self.f.write(text.encode() + b"\r\n")
        self.f.flush()

    def line(self):
        return self.f.readline().decode().rstrip("\r\n")

    def authenticate(self, mechanism, scram):
        self.say({"submissions": "AUTH ", "imaps": "a AUTHENTICATE ",
                  "pop3s": "AUTH "}[self.name] + mechanism + " "
                 + scram.first())
        said = self.line()
        if not re.match(r"(334|\+) ", said):
            return said
        self.say(scram.final(said.split(" ", 1)[1]))
        said = self.line()
        if not re.match(r"(334|\+) ", said):
            return said
        scram.check_server(said.split(" ", 1)[1])
        self.say("")
        return self.line()


def connect_tls12(server, name):
    context = server.tls_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context.wrap_socket(socket.create_connection(
        ("127.0.0.1", server.port(name)), 10))


@pytest.mark.parametrize("hash_name,mechanism", [
    ("sha1", "SCRAM-SHA-1-PLUS"), ("sha256", "SCRAM-SHA-256-PLUS"),
    ("sha512", "SCRAM-SHA-512-PLUS")])
@pytest.mark.parametrize("name", ["submissions", "imaps", "pop3s"])
def test_tls_unique(server, name, hash_name, mechanism):
    with connect_tls12(server, name) as s:
        p = Protocol(name, s.makefile("rwb"))
        good = Scram(hash_name, "tls-unique",
                     s.get_channel_binding("tls-unique"))
        assert re.match(r"(235 |a OK |\+OK )", p.authenticate(mechanism, good))


def test_another_connection_s_binding_is_refused(server):
    """What somebody between would have to show: the binding of his own TLS."""
    with connect_tls12(server, "imaps") as s:
        p = Protocol("imaps", s.makefile("rwb"))
        bad = Scram("sha256", "tls-unique",
                    s.get_channel_binding("tls-unique"), lie=b"x")
        assert p.authenticate("SCRAM-SHA-256-PLUS", bad).startswith("a NO")


def test_wrong_password(server):
    with connect_tls12(server, "pop3s") as s:
        p = Protocol("pop3s", s.makefile("rwb"))
        bad = Scram("sha256", "tls-unique",
                    s.get_channel_binding("tls-unique"), password="wrong")
        assert p.authenticate("SCRAM-SHA-256-PLUS", bad).startswith("-ERR")


def test_plus_needs_tls(server):
    with socket.create_connection(("127.0.0.1", server.port("imap"))) as s:
        p = Protocol("imap", s.makefile("rwb"))
        p.say("a CAPABILITY")
        assert "-PLUS" not in p.line()


class SClient:
    """`openssl s_client` as a file; keying material is told first."""

    def __init__(self, server, name):
        self.process = subprocess.Popen(
            ["openssl", "s_client", "-connect",
             f"127.0.0.1:{server.port(name)}", "-tls1_3", "-nocommands",
             "-CAfile", server.certificate(), "-keymatexport",
             "EXPORTER-Channel-Binding", "-keymatexportlen", "32"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL)
        self.binding = None
        while True:
            line = self.process.stdout.readline()
            assert line, "s_client ended"
            found = re.search(rb"Keying material: ([0-9A-F]{64})", line)
            if found:
                self.binding = bytes.fromhex(found[1].decode())
            if line.strip() == b"---" and self.binding:
                break
        self.write = self.process.stdin.write
        self.flush = self.process.stdin.flush

    def readline(self):
        """Session tickets are told in between: pass them over."""
        while True:
            line = self.process.stdout.readline()
            assert line, "s_client ended"
            if re.match(rb"(\* |a |\+|-ERR|[2-5]\d\d[ -])", line):
                return line

    def close(self):
        self.process.stdin.close()
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@pytest.mark.parametrize("name", ["submissions", "imaps", "pop3s"])
def test_tls_exporter(server, name):
    client = SClient(server, name)
    try:
        p = Protocol(name, client)
        good = Scram("sha256", "tls-exporter", client.binding)
        assert re.match(r"(235 |a OK |\+OK )",
                        p.authenticate("SCRAM-SHA-256-PLUS", good))
    finally:
        client.close()


def test_tls_exporter_of_another_connection_is_refused(server):
    client = SClient(server, "imaps")
    try:
        p = Protocol("imaps", client)
        bad = Scram("sha256", "tls-exporter", bytes(32))
        assert p.authenticate("SCRAM-SHA-256-PLUS", bad).startswith("a NO")
    finally:
        client.close()
