"""The resolver against a real, signed DNS: what it answers, what it refuses, and
what becomes of questions when a server or the resolver itself dies.

Questions come the way the operator's commands ask: over resolver.sock, in the
words of the contract.
"""
import contextlib
import json
import os
import re
import signal
import smtplib
import socket
import struct
import threading
import time

import pytest
from harness import DOMAIN, PASSWORD, Postrider, eventually, message
from internet import Dns, ask, encode_name, free_port

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
A, CNAME, PTR, MX, TXT, AAAA, TLSA = 1, 5, 12, 15, 16, 28, 52
RESULTS = ("OK", "CONTINUE", "NOT_FOUND", "EXISTS", "DENIED", "NOT_LOCAL",
           "INVALID", "LIMIT", "LOCKED", "CONFLICT", "FULL", "TEMPORARY")
CLI = 1 << 8
CALL, NOTE = 1, 3


def contract():
    """(version, number of the verb resolve), from the sources."""
    with open(os.path.join(ROOT, "src", "ipc", "contract.def")) as f:
        verbs = re.findall(r"^(?:CALL|NOTE)\((\w+),", f.read(), re.M)
    with open(os.path.join(ROOT, "src", "ipc", "contract.h")) as f:
        version = int(re.search(r"CONTRACT_VERSION = (\d+)", f.read())[1])
    return version, 1 + verbs.index("resolve")


def packed(value):
    return struct.pack("<I", len(value)) + value


class Answer:
    """What resolve answered; data: the records."""

    def __init__(self, b):
        self.at, self.b = 9, b
        self.result = RESULTS[b[8]]
        self.rcode, self.secure, self.ttl = (self.number() for _ in range(3))
        self.canonical, self.why = self.bytes(), self.bytes().decode()
        assert self.b[self.at] == 0, "the answers are not in the frame"
        self.at += 1
        end = self.number() + self.at
        self.data = []
        while self.at < end:
            self.data.append(self.bytes())

    def number(self):
        self.at += 4
        return struct.unpack_from("<I", self.b, self.at - 4)[0]

    def bytes(self):
        n = self.number()
        self.at += n
        return self.b[self.at - n:self.at]


class Asker:
    """A caller of the resolver."""

    def __init__(self, server):
        self.version, self.verb = contract()
        self.path = os.path.join(server.data, "resolver.sock")
        self.socket, self.count = None, 0

    def connect(self):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(40)
        self.socket.connect(self.path)
        hello = struct.pack("<II", self.version, CLI) + packed(b"cli")
        self.socket.send(struct.pack("<HBBI", 0, NOTE, 0, 0) + hello)
        self.socket.recv(1 << 18)

    def send(self, name, kind):
        if self.socket is None:
            self.connect()
        self.count += 1
        self.socket.send(struct.pack("<HBBI", self.verb, CALL, 0, self.count) +
                         packed(name.encode()) + struct.pack("<I", kind))
        return self.count

    def receive(self):
        """(number, Answer)"""
        b = self.socket.recv(1 << 18)
        if not b:
            raise ConnectionError
        return struct.unpack_from("<I", b, 4)[0], Answer(b)

    def __call__(self, name, kind):
        for _ in range(100):    # as a link does: again, when it is back
            try:
                self.send(name, kind)
                return self.receive()[1]
            except OSError:
                self.socket = None
                time.sleep(0.05)
        raise AssertionError("no resolver")


LARGE = " ".join('"' + "x" * 250 + '"' for _ in range(20))
ZONES = {
    "signed.test": f"""
@ MX 10 mx
@ MX 5 mx.plain.test.
mx A 127.0.2.1
alias CNAME mx
outside CNAME www.plain.test.
broken CNAME www.bogus.test.
large TXT {LARGE}
_25._tcp.mx TLSA 3 1 1 {'ab' * 32}
""",
    "plain.test": "www A 127.0.2.2\n",
    "bogus.test": "www A 127.0.2.3\nwww MX 10 www\n",
    "expired.test": "www A 127.0.2.4\n",
    "sub.signed.test": "@ A 127.0.2.5\n",
    "2.0.127.in-addr.arpa": "1 PTR Mx.Signed.test.\n",
}


@contextlib.contextmanager
def world(zones=None, more="", **options):
    with Dns(zones or ZONES, **options) as dns, \
            Postrider(accounts=(), settings=dns.settings[:-1] + more +
                      " }") as server:
        yield dns, server, Asker(server)


@pytest.fixture(scope="module")
def answer():
    with world(unsigned=["plain.test"], bogus=["bogus.test"],
               expired=["expired.test"]) as (_, _, asker):
        yield asker


# -- what is answered

def test_signed_records_are_secure(answer):
    a = answer("signed.test", MX)
    assert (a.result, a.rcode, a.secure) == ("OK", 0, 1)
    assert 0 < a.ttl <= 60 and a.canonical == b"signed.test"
    assert sorted(a.data) == [
        struct.pack("!H", 5) + encode_name("mx.plain.test"),
        struct.pack("!H", 10) + encode_name("mx.signed.test")]


def test_the_final_dot_and_case_make_no_difference(answer):
    assert answer("MX.Signed.TEST.", A).data == [b"\x7f\0\2\1"]


def test_below_another_signed_zone(answer):
    a = answer("sub.signed.test", A)
    assert a.secure == 1 and a.data == [b"\x7f\0\2\5"]


def test_certificates_names_and_other_types(answer):
    assert answer("_25._tcp.mx.signed.test", TLSA).data == [
        b"\3\1\1" + b"\xab" * 32]
    assert answer("1.2.0.127.in-addr.arpa", PTR).data == [
        encode_name("mx.signed.test")]
    a = answer("signed.test", 6)
    assert a.result == "OK" and len(a.data) == 1


def test_unsigned_records_are_not_secure(answer):
    a = answer("www.plain.test", A)
    assert (a.result, a.secure, a.data) == ("OK", 0, [b"\x7f\0\2\2"])


@pytest.mark.parametrize("name", ["www.bogus.test", "www.expired.test",
                                  "broken.signed.test"])
def test_bogus_records_are_denied(answer, name):
    for _ in range(2):          # from the cache, too
        a = answer(name, A)
        assert (a.result, a.secure, a.data) == ("DENIED", 0, [])
        assert a.why != ""


def test_what_is_not_there(answer):
    for name, kind, rcode, secure in (
            ("nx.signed.test", A, 3, 1), ("mx.signed.test", AAAA, 0, 1),
            ("nx.plain.test", A, 3, 0), ("www.plain.test", MX, 0, 0),
            ("nowhere.example", MX, 3, 1)):
        a = answer(name, kind)
        assert (a.result, a.rcode, a.secure, a.data) == (
            "OK", rcode, secure, []), name


def test_aliases(answer):
    a = answer("alias.signed.test", A)
    assert (a.secure, a.canonical) == (1, b"mx.signed.test")
    a = answer("outside.signed.test", A)
    assert (a.secure, a.canonical, a.data) == (
        0, b"www.plain.test", [b"\x7f\0\2\2"])
    a = answer("alias.signed.test", CNAME)
    assert (a.canonical, a.data) == (
        b"alias.signed.test", [encode_name("mx.signed.test")])


def test_what_is_large_comes_by_tcp(answer):
    a = answer("large.signed.test", TXT)
    assert a.secure == 1 and a.data == [(b"\xfa" + b"x" * 250) * 20]


@pytest.mark.parametrize("name,kind", [
    ("", A), ("a..test", A), (".test", A), ("x" * 64 + ".test", A),
    ("a b.test", A), ("a\\.test", A), ("\xe4.test", A),
    (".".join(["x" * 49] * 6)[:255], A), ("signed.test", 255),
    ("signed.test", 0), ("signed.test", 252), ("signed.test", 70000)])
def test_what_is_no_question(answer, name, kind):
    assert answer(name, kind).result == "INVALID"


def test_many_at_once(answer):
    asked = {answer.send(f"n{i}.signed.test", A) for i in range(60)}
    for _ in range(60):
        number, a = answer.receive()
        asked.remove(number)
        assert (a.result, a.rcode, a.secure) == ("OK", 3, 1)
    assert not asked


# -- changes and faults

def test_what_changes_is_seen():
    with world({"a.test": "@ A 127.0.2.1\n"}, ttl=1) as (dns, _, answer):
        assert answer("a.test", A).data == [b"\x7f\0\2\1"]
        dns.set("a.test", "@ A 127.0.2.9\n")
        eventually(lambda: answer("a.test", A).data == [b"\x7f\0\2\x09"])
        dns.set("b.test", "@ A 127.0.2.8\n")
        assert eventually(lambda: answer("b.test", A).data)


def test_a_dead_server_is_temporary_and_comes_back():
    with world({"a.test": "@ A 127.0.2.1\nb A 127.0.2.2\n"}, ttl=1,
               more="; timeout = 2s") as (dns, _, answer):
        assert answer("a.test", A).result == "OK"
        dns.stop()
        a = answer("b.a.test", A)
        assert (a.result, a.data) == ("TEMPORARY", []) and a.why != ""
        dns.serve()
        assert eventually(lambda: answer("b.a.test", A).data, 40)


def test_killed_in_the_middle_it_answers_again():
    with world() as (_, server, answer):
        assert answer("mx.signed.test", A).secure == 1
        for round in range(3):
            for i in range(40):
                answer.send(f"n{round}-{i}.signed.test", A)
            os.kill(server.role_pids()["resolver"][0], signal.SIGKILL)
            a = answer("mx.signed.test", A)
            assert a.secure == 1 and a.data == [b"\x7f\0\2\1"]


def test_reload_asks_others():
    zones = {"a.test": "@ A 127.0.2.1\n"}
    with world(zones) as (dns, server, answer), \
            Dns({"a.test": "@ A 127.0.2.7\n"}) as other:
        assert answer("a.test", A).data == [b"\x7f\0\2\1"]
        with open(server.config) as f:
            text = f.read()

        def reload(settings):
            with open(server.config, "w") as f:
                f.write(text.replace(dns.settings[:-1], settings[:-1]))
            os.kill(server.process.pid, signal.SIGHUP)

        reload(other.settings)
        eventually(lambda: answer("a.test", A).data == [b"\x7f\0\2\7"])
        reload("resolver { servers = nobody }")
        eventually(lambda: "resolver.servers: nobody: not an address" in
                   server.log())
        assert answer("a.test", A).data == [b"\x7f\0\2\7"]


def test_servers_without_signatures_are_told_of():
    """Who takes the signatures out makes every domain unreachable: say so."""
    with world({"a.test": "@ A 127.0.2.1\n"},
               unsigned=["", "a.test"]) as (_, server, answer):
        assert answer("a.test", A).result == "DENIED"
        eventually(lambda: "resolver.cannot_validate" in server.log())


def test_a_broken_trust_anchor_is_told_of():
    with Dns({"a.test": "@ A 127.0.2.1\n"}) as dns:
        with open(dns.trust_anchor, "w") as f:
            f.write(". IN DNSKEY no key\n")
        with Postrider(accounts=(), settings=dns.settings) as server:
            a = Asker(server)("a.test", A)
            assert a.result == "TEMPORARY" and "see the log" in a.why
            assert "event=resolver.settings" in server.log()


class Slow:
    """A nameserver that answers when it is let go, and counts."""

    def __init__(self):
        self.questions, self.go = [], threading.Event()
        self.port = free_port("127.0.0.1")
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", self.port))
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                query, who = self.socket.recvfrom(4096)
                self.questions.append(query)
                threading.Thread(target=self.answer, args=(query, who),
                                 daemon=True).start()

    def answer(self, query, who):
        if b"\x04fast" not in query:
            self.go.wait(60)
        end = query.index(b"\0", 12) + 5
        record = b"\xc0\x0c" + struct.pack("!2HIH", 1, 1, 60, 4) + b"\x7f\0\2\6"
        with contextlib.suppress(OSError):
            self.socket.sendto(
                query[:2] + struct.pack("!5H", 0x8180, 1, 1, 0, 0) +
                query[12:end] + record, who)

    @property
    def settings(self):
        return (f"resolver {{ servers = 127.0.0.1@{self.port}; "
                "dnssec = no; timeout = 60s }")


def test_the_same_question_is_asked_once():
    slow = Slow()
    with Postrider(accounts=(), settings=slow.settings) as server:
        answer = Asker(server)
        for _ in range(30):
            answer.send("a.test", A)
        eventually(lambda: slow.questions)
        # A retransmission is a matter of time; thirty are not.
        slow.go.set()
        for _ in range(30):
            assert answer.receive()[1].data == [b"\x7f\0\2\6"]
        assert len(slow.questions) < 10
    slow.socket.close()


def test_questions_outlive_a_change_of_settings():
    slow = Slow()
    with Postrider(accounts=(), settings=slow.settings) as server:
        answer = Asker(server)
        waiting = {answer.send(f"n{i}.test", A) for i in range(20)}
        eventually(lambda: slow.questions)
        with open(server.config) as f:
            text = f.read()
        for cache in ("17M", "18M"):
            with open(server.config, "w") as f:
                f.write(f"{text}\nresolver {{ cache = {cache} }}\n")
            done = server.log().count("supervisor.reloaded")
            os.kill(server.process.pid, signal.SIGHUP)
            eventually(lambda: server.log().count("supervisor.reloaded") >
                       done)
            fast = answer.send("fast.test", A)
            assert answer.receive()[0] == fast
        slow.go.set()
        while waiting:
            number, a = answer.receive()
            waiting.remove(number)
            assert a.data == [b"\x7f\0\2\6"]
        assert len(server.role_pids()["resolver"]) == 1
    slow.socket.close()


def test_relay_asks_again_when_the_resolver_was_killed():
    slow = Slow()
    with Postrider(accounts=("ann",), settings=slow.settings + """
            auth { plaintext_on_loopback = yes }""") as server:
        with smtplib.SMTP("127.0.0.1", server.port("submission")) as s:
            s.login(f"ann@{DOMAIN}", PASSWORD)
            s.sendmail(f"ann@{DOMAIN}", ["x@far.example"],
                       message(f"ann@{DOMAIN}", "x@far.example"))
        for _ in range(3):
            eventually(lambda: slow.questions)
            os.kill(server.role_pids()["resolver"][0], signal.SIGKILL)
            slow.questions.clear()
        eventually(lambda: slow.questions)
        # It is one attempt, still.
        rows = json.loads(server.cli("queue", "list", "--json").stdout)
        assert [row["attempts"] for row in rows] == [0]
        # Mail is not sent to our own loopback: the answer has come.
        slow.go.set()
        eventually(lambda: not json.loads(server.cli(
            "queue", "list", "--json").stdout))
    slow.socket.close()


def test_slow_domains_do_not_keep_others_waiting():
    """One caller's credits are 64; all of them wait for a dead domain."""
    slow = Slow()
    with Postrider(accounts=(), settings=slow.settings) as server:
        answer = Asker(server)
        names = {answer.send(f"n{i}.slow.test", A): i for i in range(64)}
        number, a = answer.receive()
        assert a.result == "TEMPORARY" and "others wait" in a.why
        # Its credit is enough for one that is answered.
        fast = answer.send("fast.test", A)
        while number != fast:
            names.pop(number)
            number, a = answer.receive()
        assert a.data == [b"\x7f\0\2\6"]
        # Those that are left are no crowd: they wait on.
        slow.go.set()
        results = [answer.receive()[1].result for _ in names]
        assert results.count("OK") >= 40
    slow.socket.close()


def test_from_the_root_downwards():
    """By itself, from hints, at the port of DNS: for that a network alone."""
    if os.geteuid() != 0:
        pytest.skip("port 53 is root's")
    from peers import isolate
    with isolate(), Dns({"a.example": "@ A 192.0.2.1\n", "b.example":
                         "www CNAME a.example.\n"}, address="127.0.0.53",
                        port=53, unsigned=["b.example"]) as dns:
        hints = os.path.join(dns.home, "hints")
        with open(hints, "w") as f:
            f.write(". 3600 NS ns.\nns. 3600 A 127.0.0.53\n")
        with Postrider(accounts=(), settings=f"""resolver {{ servers = root;
                trust_anchor = "{dns.trust_anchor}";
                root_hints = "{hints}" }}""") as server:
            answer = Asker(server)
            a = answer("a.example", A)
            assert (a.secure, a.data) == (1, [b"\xc0\0\2\1"])
            a = answer("www.b.example", A)
            assert (a.secure, a.canonical) == (0, b"a.example")
            # Nobody on the Internet has it (RFC 6761).
            assert answer("a.test", A).rcode == 3
            assert ask("a.example", "A", "127.0.0.53", 53)[0] == 0
