"""Bad input gets the RFC's answer and costs at most its sender's connection."""
import contextlib
import re
import socket
import ssl
import struct
import time

import pytest
from harness import (DOMAIN, PASSWORD, Postrider, eventually, message,
                     sasl_plain)

ANN = f"ann@{DOMAIN}"
ROLES = ("signer", "resolver", "store", "index", "mx", "access", "relay",
         "metrics")

SETTINGS = """
smtp { command_timeout = 3s; data_timeout = 3s; }
imap { idle_timeout = 1800s; login_timeout = 3s; }
pop3 { idle_timeout = 600s; login_timeout = 3s; }
auth { failure_delay = 50ms; }
"""


@pytest.fixture(scope="module")
def server():
    with Postrider(settings=SETTINGS) as p:
        yield p


def every_role(server):
    pids = server.role_pids()
    return pids if len(pids) == len(ROLES) else None


@pytest.fixture(autouse=True)
def everybody_else_is_well(server):
    """After each: same processes as before, and a stranger is served."""
    before = eventually(lambda: every_role(server))
    yield
    assert server.role_pids() == before, "a role died:\n" + server.log()[-3000:]
    with connect(server, "smtp") as s:
        assert read(s).startswith(b"220 ")


def connect(server, name):
    s = socket.create_connection(("127.0.0.1", server.port(name)), 10)
    s.settimeout(20)
    return s


def read(s, until=rb"\n$"):
    """What comes until it matches, or until the end."""
    data = b""
    while not re.search(until, data):
        try:
            piece = s.recv(65536)
        except ConnectionResetError:
            break
        if not piece:
            break
        data += piece
    return data


def ask(s, command, until=rb"\n$"):
    s.sendall(command + b"\r\n")
    return read(s, until)


def imap_login(server, user=ANN):
    s = server.tls_context().wrap_socket(connect(server, "imaps"))
    read(s)
    assert b"a OK" in ask(s, f'a LOGIN {user} "{PASSWORD}"'.encode(),
                          rb"a (OK|NO|BAD).*\n")
    return s


def flood(s, data, times):
    """Send much; a peer that closes on us is fine."""
    try:
        for _ in range(times):
            s.sendall(data)
    except (BrokenPipeError, ConnectionResetError, ssl.SSLError, TimeoutError):
        pass


# -- sizes ------------------------------------------------------------------------

@pytest.mark.parametrize("literal", [b"{4294967296}", b"{4294967295}",
                                     b"{99999999999999999999}"])
def test_imap_literal_of_4_gib(server, literal):
    with imap_login(server) as s:
        answer = ask(s, b"b APPEND INBOX " + literal, rb"\n$")
        assert re.match(rb"(b (NO|BAD)|\* BYE)", answer), answer
    with imap_login(server) as s:
        answer = ask(s, b"b LOGIN " + literal.replace(b"}", b"+}"), rb"\n$")
        assert re.match(rb"(b (NO|BAD)|\* BYE)", answer), answer


@pytest.mark.parametrize("name,answer", [
    ("smtp", rb"(500|421) "), ("imap", rb"\* (BAD|BYE)"), ("pop3", rb"-ERR")])
def test_line_of_10_mb(server, name, answer):
    with connect(server, name) as s:
        read(s)
        flood(s, b"A" * 65536, 160)
        flood(s, b"\r\n", 1)
        assert re.search(answer, read(s))


def test_data_line_of_10_mb_is_one_message_or_a_clear_no(server):
    with connect(server, "smtp") as s:
        read(s)
        ask(s, b"EHLO x", rb"250 .*\n")
        ask(s, b"MAIL FROM:<x@y.example>")
        ask(s, f"RCPT TO:<{ANN}>".encode())
        ask(s, b"DATA")
        flood(s, b"A" * 65536, 160)
        s.sendall(b"\r\n.\r\n")
        assert re.match(rb"(250|5\d\d) ", read(s))


def test_message_over_the_limit(server):
    with connect(server, "smtp") as s:
        read(s)
        size = int(re.search(rb"SIZE (\d+)", ask(s, b"EHLO x",
                                                 rb"250 .*\n"))[1])
        assert ask(s, b"MAIL FROM:<> SIZE=%d" % (size + 1)).startswith(b"552")
        ask(s, b"MAIL FROM:<>")
        ask(s, f"RCPT TO:<{ANN}>".encode())
        ask(s, b"DATA")
        flood(s, (b"A" * 998 + b"\r\n") * 64, size // 64000 + 2)
        s.sendall(b".\r\n")
        assert read(s).startswith(b"552")
        assert ask(s, b"NOOP").startswith(b"250")


def test_100_000_nested_parts(server):
    deep = "".join(f'Content-Type: multipart/mixed; boundary="b{n}"\r\n\r\n'
                   f"--b{n}\r\n" for n in range(100000))
    wide = ('Content-Type: multipart/mixed; boundary="w"\r\n\r\n'
            + "--w\r\n\r\nx\r\n" * 100000 + "--w--\r\n")
    rfc822 = "Content-Type: message/rfc822\r\n\r\n" * 100000
    s = imap_login(server)
    for n, text in enumerate((deep, wide, rfc822)):
        text = message(ANN, ANN, f"parts {n}", "").removesuffix("\r\n") + text
        data = text.encode()
        s.sendall(b"c APPEND Archive {%d+}\r\n" % len(data) + data + b"\r\n")
        assert b"c OK" in read(s, rb"c (OK|NO|BAD).*\n")
    assert b"d OK" in ask(s, b"d SELECT Archive", rb"d (OK|NO|BAD).*\n")
    began = time.monotonic()
    assert b"e OK" in ask(s, b"e FETCH 1:* (BODYSTRUCTURE ENVELOPE)",
                          rb"e (OK|NO|BAD)[^\n]*\n$")
    assert b"f OK" in ask(s, b"f SEARCH TEXT nowhere",
                          rb"f (OK|NO|BAD)[^\n]*\n$")
    assert time.monotonic() - began < 60
    s.close()


# -- bytes -------------------------------------------------------------------------

@pytest.mark.parametrize("name,bye", [("smtp", b"QUIT"), ("imap", b"z LOGOUT"),
                                      ("pop3", b"QUIT")])
@pytest.mark.parametrize("junk", [b"\0\0\0\0", b"\xff\xfe\x80abc", b"a\0b \0",
                                  b"\x16\x03\x01\x02\x00\x01\x00"],
                         ids=["nul", "8bit", "mixed", "tls"])
def test_junk_bytes(server, name, bye, junk):
    with connect(server, name) as s:
        read(s)
        answer = ask(s, junk)
        assert re.match(rb"(5\d\d |\* BAD|\* BYE|\S+ BAD|-ERR|421 )", answer), answer
        if not re.match(rb"(421|\* BYE)", answer):
            assert read_after(s, bye)


def read_after(s, command):
    try:
        return ask(s, command)
    except OSError:
        return b"closed"


@pytest.mark.parametrize("name", ["imaps", "pop3s", "submissions"])
def test_tls_garbage(server, name):
    for junk in (b"HELO x\r\n", b"\0" * 1000, b"\x16\x03\x01\xff\xff" + b"A" * 70000,
                 b"\x80\x2e\x01\x00\x02" + b"\1" * 60):
        with connect(server, name) as s:
            flood(s, junk, 1)
            with contextlib.suppress(OSError):      # it may have closed
                s.shutdown(socket.SHUT_WR)
            while True:
                try:
                    if not s.recv(65536):
                        break
                except ConnectionResetError:
                    break


def test_tls_stalled_handshake_is_ended(server):
    with connect(server, "imaps") as s:
        s.sendall(b"\x16\x03\x01")
        s.settimeout(90)
        assert s.recv(10) == b""


def test_reset_in_the_middle(server):
    for name in ("smtp", "imap", "pop3", "imaps"):
        for _ in range(20):
            s = connect(server, name)
            s.sendall(b"EHLO x\r\n")
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                         struct.pack("ii", 1, 0))
            s.close()


def test_half_closed(server):
    with connect(server, "smtp") as s:
        s.sendall(b"EHLO x\r\nNOOP\r\n")
        s.shutdown(socket.SHUT_WR)
        data = read(s, rb"\A\Z never")
        assert data.startswith(b"220 ") and b"250 " in data
    with connect(server, "imap") as s:
        s.sendall(b"a NOOP\r\n")
        s.shutdown(socket.SHUT_WR)
        assert b"a OK" in read(s, rb"\A\Z never")
    with connect(server, "smtp") as s:      # inside DATA: no message
        s.sendall(b"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<%b>\r\nDATA\r\n"
                  b"Subject: cut\r\n\r\n.\r" % ANN.encode())
        s.shutdown(socket.SHUT_WR)
        assert b"250 2.0.0" not in read(s, rb"\A\Z never").split(b"354")[1]


@pytest.mark.parametrize("name,part", [
    ("smtp", b"EHL"), ("imap", b"a LOGI"), ("pop3", b"USE")])
def test_stalled_connection_is_ended(server, name, part):
    with connect(server, name) as s:
        read(s)
        s.sendall(part)
        s.settimeout(30)
        last = read(s, rb"\A\Z never")
        assert last == b"" or re.match(rb"(421|\* BYE|-ERR)", last), last


def test_stalled_data_is_ended(server):
    with connect(server, "smtp") as s:
        read(s)
        s.sendall(b"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<%b>\r\nDATA\r\n"
                  % ANN.encode())
        read(s, rb"354 .*\n")
        s.sendall(b"Subject: stalled\r\n")
        assert read(s, rb"\A\Z never").startswith(b"421")


def test_a_client_that_never_reads(server):
    """Its own connection stalls; another one is served meanwhile."""
    s = imap_login(server)
    data = message(ANN, ANN, "big", "x" * 76 + "\r\n").encode() * 2000
    s.sendall(b"b APPEND Junk {%d+}\r\n" % len(data) + data + b"\r\n")
    read(s, rb"b OK.*\n")
    ask(s, b"c SELECT Junk", rb"c OK.*\n")
    flood(s, b"d FETCH 1 BODY[]\r\n", 200)
    other = imap_login(server)
    assert b"e OK" in ask(other, b"e NOOP")
    other.close()
    s.close()


# -- STARTTLS ------------------------------------------------------------------------

@pytest.mark.parametrize("name,start,ready,inject,probe", [
    ("submission", b"EHLO x\r\nSTARTTLS\r\n", rb"220 [^\n]*\n(.|\n)*220 ",
     b"MAIL FROM:<evil@y.example>\r\n", b"NOOP"),
    ("imap", b"a STARTTLS\r\n", rb"a OK", b"x CAPABILITY\r\n", b"b NOOP"),
    ("pop3", b"STLS\r\n", rb"\+OK(.|\n)*\+OK", b"CAPA\r\n", b"NOOP")])
def test_plaintext_after_starttls_is_discarded(server, name, start, ready,
                                               inject, probe):
    with connect(server, name) as s:
        s.sendall(start + inject)
        read(s, ready)
        t = server.tls_context().wrap_socket(s, server_hostname="localhost")
        t.settimeout(10)
        t.sendall(probe + b"\r\n")
        answer = t.recv(65536)
        assert re.match(rb"(250 |b OK|-ERR|\+OK)", answer), answer
        assert answer.count(b"\n") == 1, answer


# -- passwords -----------------------------------------------------------------------

def test_wrong_passwords_lock_the_address_out_not_the_owner():
    settings = """
auth { failure_delay = 20ms; lockout_failures = 5; lockout_time = 4s; }
smtp { max_sessions_per_address = 1000; }
imap { max_sessions_per_address = 1000; }
"""

    def login(server, source, password):
        raw = socket.create_connection(
            ("127.0.0.1", server.port("imaps")), 10, (source, 0))
        with server.tls_context().wrap_socket(raw) as s:
            read(s)
            return b"a OK" in ask(s, f'a LOGIN {ANN} "{password}"'.encode(),
                                  rb"a (OK|NO|BAD).*\n|BYE.*\n")

    with Postrider(settings=settings) as server:
        assert login(server, "127.0.0.2", PASSWORD)     # the owner's device
        for n in range(12):
            assert not login(server, "127.1.0.3", f"guess{n}")
        assert not login(server, "127.1.0.3", PASSWORD), "not locked out"
        assert login(server, "127.0.0.2", PASSWORD), "the owner is locked out"
        time.sleep(4.5)
        assert login(server, "127.1.0.3", PASSWORD), "locked out for ever"


def test_a_wrong_password_takes_a_moment(server):
    s = server.tls_context().wrap_socket(connect(server, "imaps"))
    read(s)
    began = time.monotonic()
    assert b"NO [AUTHENTICATIONFAILED]" in ask(
        s, f"a LOGIN nobody@{DOMAIN} x".encode(), rb"a .*\n")
    assert time.monotonic() - began >= 0.05
    s.close()


def test_no_password_without_tls(server):
    with connect(server, "imap") as s:
        assert b"LOGINDISABLED" in read(s) + ask(s, b"a CAPABILITY",
                                                 rb"a OK.*\n")
        assert re.match(rb"b (NO|BAD)", ask(
            s, f'b LOGIN {ANN} "{PASSWORD}"'.encode()))
    with connect(server, "pop3") as s:
        read(s)
        assert ask(s, b"USER ann").startswith(b"-ERR")
    with connect(server, "submission") as s:
        read(s)
        assert b"AUTH" not in ask(s, b"EHLO x", rb"250 .*\n")
        assert re.match(rb"5\d\d ", ask(
            s, b"AUTH PLAIN " + sasl_plain(ANN).encode()))


def test_nothing_secret_is_logged(server):
    log = server.log()
    assert PASSWORD not in log
    assert sasl_plain(ANN) not in log
    assert log.count("\n") > 10


def memory_of(pid):
    """What a debugger would see, map by map; skips where it may not look."""
    try:
        with open(f"/proc/{pid}/maps") as maps, \
                open(f"/proc/{pid}/mem", "rb", 0) as mem:
            for line in maps:
                where, rights = line.split()[:2]
                low, high = (int(x, 16) for x in where.split("-"))
                if not rights.startswith("rw") or high - low > 256 << 20:
                    continue
                with contextlib.suppress(OSError):
                    mem.seek(low)
                    yield mem.read(high - low)
    except PermissionError:
        pytest.skip("may not look into the roles")


def test_no_password_stays_in_memory(server):
    plain = sasl_plain(ANN).encode()
    kept = [imap_login(server)]
    for port, words in (
            ("imaps", [b"a AUTHENTICATE PLAIN " + plain]),
            ("imaps", [b"a AUTHENTICATE PLAIN", plain]),
            ("pop3s", [f"USER {ANN}".encode(), b"PASS " + PASSWORD.encode()]),
            ("submissions", [b"EHLO x", b"AUTH PLAIN " + plain])):
        s = server.tls_context().wrap_socket(connect(server, port))
        read(s)
        for word in words:
            answer = ask(s, word, rb"(^|\n)(\+|a OK|235|250 ).*\n")
        assert re.search(rb"\+OK|a OK|235", answer)
        kept.append(s)
    for role, pids in server.role_pids().items():
        for pid in pids:
            for piece in memory_of(pid):
                assert PASSWORD.encode() not in piece, role
                assert plain not in piece, role
    for s in kept:
        s.close()


def send_with(server, header):
    """The queue id that a message with this header was given."""
    with connect(server, "smtp") as s:
        read(s)
        ask(s, b"EHLO outside.example", rb"250 .*\n")
        ask(s, b"MAIL FROM:<x@outside.example>")
        ask(s, b"RCPT TO:<" + ANN.encode() + b">")
        ask(s, b"DATA")
        answer = ask(s, header.encode("latin-1") + b"\r\n\r\nx\r\n.")
    assert answer.startswith(b"250 ")
    return answer.split()[-1].decode()


def test_mail_gives_the_operators_terminal_no_orders(server):
    orders = "\x1b]0;owned\x07\x9b2J"
    queue_id = send_with(server, f"Message-ID: <{orders}@outside.example>")
    trace = eventually(lambda: server.cli("trace", queue_id,
                                          check=False).stdout)
    assert "accepted" in trace and "owned" in trace
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", trace)
