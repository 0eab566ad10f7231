"""The receiving side among real clients: LMTP, proxies, BURL, names of
addresses, limits of a minute, mail kept for later and for others."""
import imaplib
import os
import shutil
import smtplib
import socket
import struct
import subprocess
import time

import pytest
from harness import (DOMAIN, PASSWORD, Postrider, alive, eventually,
                     has_field, message)
from internet import Dns

ANN, BOB = f"ann@{DOMAIN}", f"bob@{DOMAIN}"
OUTSIDE = "x@outside.example"


def inbox(server, user=ANN):
    """Every message of an INBOX, oldest first."""
    c = imaplib.IMAP4_SSL("127.0.0.1", server.port("imaps"),
                          ssl_context=server.tls_context())
    c.login(user, PASSWORD)
    c.select("INBOX", readonly=True)
    numbers = c.search(None, "ALL")[1][0].split()
    texts = [c.fetch(n, "(BODY.PEEK[])")[1][0][1].decode() for n in numbers]
    c.logout()
    return texts


def arrived(server, subject, user=ANN):
    """The message of this subject, once it is there."""
    return eventually(lambda: next(
        (t for t in inbox(server, user)
         if f"Subject: {subject}\r\n" in t), None))


def submitter(server, user=ANN):
    s = smtplib.SMTP_SSL("127.0.0.1", server.port("submissions"),
                         context=server.tls_context())
    s.login(user, PASSWORD)
    return s


class Raw:
    """A connection by hand, from an address of choice."""

    def __init__(self, server, port, source="127.0.0.1"):
        self.socket = socket.create_connection(
            ("127.0.0.1", server.port(port)), 15, (source, 0))
        self.rest = b""

    def send(self, data):
        self.socket.sendall(data)

    def tls(self, server):
        self.socket = server.tls_context().wrap_socket(
            self.socket, server_hostname="localhost")

    def line(self):
        while b"\r\n" not in self.rest:
            data = self.socket.recv(65536)
            if not data:
                raise EOFError(self.rest)
            self.rest += data
        line, self.rest = self.rest.split(b"\r\n", 1)
        return line.decode()

    def reply(self):
        """The last line of a reply."""
        line = self.line()
        while line[3:4] == "-":
            line = self.line()
        return line

    def ask(self, text):
        self.send(text.encode() + b"\r\n")
        return self.reply()

    def closed(self):
        """Nothing comes any more but the end."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


# -- LMTP ------------------------------------------------------------------------

@pytest.fixture(scope="module")
def behind():
    with Postrider(settings='listen { lmtp = "*:24 unix:lmtp.sock"; }') as p:
        yield p


def test_lmtp_over_tcp(behind):
    with smtplib.LMTP("127.0.0.1", behind.port("lmtp")) as s:
        s.ehlo()
        assert s.mail(OUTSIDE)[0] == 250
        assert [s.rcpt(to)[0] for to in (ANN, f"nobody@{DOMAIN}", BOB)] == [
            250, 550, 250]
        assert s.data(message(OUTSIDE, ANN, "by tcp"))[0] == 250
        assert s.getreply()[0] == 250   # the second one's
        assert s.noop()[0] == 250
    for user in ANN, BOB:
        assert " with LMTP id " in arrived(behind, "by tcp", user)


def test_lmtp_over_a_path(behind):
    path = os.path.join(behind.data, "lmtp.sock")
    with smtplib.LMTP(path) as s:
        assert s.sendmail(OUTSIDE, [ANN], message(OUTSIDE, ANN,
                                                  "by path")) == {}
    assert "Return-Path: <x@outside.example>\r\n" in arrived(behind,
                                                            "by path")


def test_swaks_speaks_lmtp(behind):
    done = subprocess.run(
        ["swaks", "--protocol", "LMTP", "--server", "127.0.0.1", "--port",
         str(behind.port("lmtp")), "--from", OUTSIDE, "--to", f"{ANN},{BOB}",
         "--header", "Subject: by swaks", "--tls-optional"],
        capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    for user in ANN, BOB:
        arrived(behind, "by swaks", user)


def test_a_socket_is_made_anew(behind):
    """What a killed server left does not keep the next from starting."""
    with Postrider(settings='listen { lmtp = "unix:run.sock"; }') as p:
        roles = p.pids()[1:]
        p.process.kill()
        p.process.wait()
        # its roles go with it, but not before it
        eventually(lambda: not any(alive(pid) for pid in roles))
        assert os.path.exists(os.path.join(p.data, "run.sock"))
        p.start()
        with smtplib.LMTP(os.path.join(p.data, "run.sock")) as s:
            assert s.noop()[0] == 250


def does_not_start(settings):
    """What it says then."""
    p = Postrider(settings=settings)
    try:
        p.start(wait=False)
        assert p.process.wait(20) != 0
        return p.log()
    finally:
        shutil.rmtree(p.home, ignore_errors=True)


def test_paths_are_for_lmtp_alone():
    assert "addresses with ports only" in does_not_start(
        'listen { smtp = "unix:smtp.sock"; }')


@pytest.mark.skipif(os.geteuid() != 0, reason="namespaces are root's")
def test_postfix_in_front():
    from peers import Postfix, isolate
    with isolate(), Postrider(settings='listen { lmtp = "*:24"; }') as p:
        front = Postfix("127.0.5.1", DOMAIN, "virtual_transport = "
                        f"lmtp:inet:127.0.0.1:{p.port('lmtp')}")
        with front:
            with smtplib.SMTP("127.0.5.1", 25) as s:
                s.sendmail(OUTSIDE, [ANN, BOB],
                           message(OUTSIDE, ANN, "through the front"))
            for user in ANN, BOB:
                text = arrived(p, "through the front", user)
                assert " with LMTP id " in text
                assert f"by {front.hostname} (Postfix)" in text


# -- proxies ----------------------------------------------------------------------

PROXY = "127.0.0.2"
V1 = b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 25\r\n"
V2 = (b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + struct.pack(">H", 12 + 7) +
      socket.inet_aton("192.0.2.8") + socket.inet_aton("192.0.2.1") +
      struct.pack(">HH", 4712, 25) + b"\x04\0\4abcd")
V2_6 = (b"\r\n\r\n\0\r\nQUIT\n\x21\x21" + struct.pack(">H", 36) +
        socket.inet_pton(socket.AF_INET6, "2001:db8::9") +
        socket.inet_pton(socket.AF_INET6, "2001:db8::1") +
        struct.pack(">HH", 4713, 25))
V2_LOCAL = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"


@pytest.fixture(scope="module")
def proxied():
    with Postrider(settings=f"""
            listen {{ proxy_from = "{PROXY}"; lmtp = "*:24"; }}
            smtp {{ reverse_names = no; }}""") as p:
        yield p


@pytest.mark.parametrize("header,client", [
    (V1, "[192.0.2.7]"), (V2, "[192.0.2.8]"), (V2_6, "[IPv6:2001:db8::9]"),
    (V2_LOCAL, f"[{PROXY}]"), (b"PROXY UNKNOWN\r\n", f"[{PROXY}]")])
@pytest.mark.parametrize("pieces", [False, True])
def test_mail_through_a_proxy(proxied, header, client, pieces):
    subject = f"proxied {len(header)} {client} {pieces}"
    with Raw(proxied, "smtp", PROXY) as c:
        for piece in [header[:9], header[9:]] if pieces else [header]:
            c.send(piece)
            if pieces:
                time.sleep(0.05)
        assert c.reply()[:3] == "220"
        assert c.ask("HELO client.example")[:3] == "250"
        assert c.ask(f"MAIL FROM:<{OUTSIDE}>")[:3] == "250"
        assert c.ask(f"RCPT TO:<{ANN}>")[:3] == "250"
        assert c.ask("DATA")[:3] == "354"
        assert c.ask(f"Subject: {subject}\r\n\r\n.")[:3] == "250"
    assert f"from client.example ({client})" in arrived(proxied, subject)


@pytest.mark.parametrize("port,tls,greeting", [
    ("submission", False, "220 "), ("submissions", True, "220 "),
    ("imap", False, "* OK"), ("imaps", True, "* OK"),
    ("pop3", False, "+OK"), ("pop3s", True, "+OK"), ("lmtp", False, "220 ")])
def test_every_port_takes_the_header(proxied, port, tls, greeting):
    with Raw(proxied, port, PROXY) as c:
        c.send(V2)
        if tls:
            c.tls(proxied)
        assert c.line().startswith(greeting)


def test_a_login_is_the_clients(proxied):
    with Raw(proxied, "imaps", PROXY) as c:
        c.send(b"PROXY TCP4 192.0.2.66 192.0.2.1 4711 993\r\n")
        c.tls(proxied)
        c.line()
        c.send(b"a LOGIN ann@example.test wrong\r\n")
        assert "a NO" in c.line()
    assert "192.0.2.66" in proxied.log()


@pytest.mark.parametrize("first", [
    b"EHLO client.example\r\n", b"PROXY TCP4 x y 1 2\r\n",
    b"PROXY " + 200 * b"x", b"\r\n\r\n\0\r\nQUIT\n\x21\x12\0\x0c",
    b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"])
def test_no_header_no_session(proxied, first):
    with Raw(proxied, "smtp", PROXY) as c:
        c.send(first)
        assert c.closed()


def test_others_need_none(proxied):
    with Raw(proxied, "smtp") as c:
        assert c.reply()[:3] == "220"
        assert c.ask("PROXY TCP4 192.0.2.7 192.0.2.1 1 25")[:3] == "500"


def test_a_slip_of_the_pen_is_refused():
    assert "not an address or network: 127.0.0.1/33" in does_not_start(
        'smtp { trusted = "127.0.0.1/33"; }')


# -- submission --------------------------------------------------------------------

@pytest.fixture(scope="module")
def server():
    with Postrider() as p:
        yield p


def test_a_draft_is_sent_by_its_url(server):
    c = imaplib.IMAP4_SSL("127.0.0.1", server.port("imaps"),
                          ssl_context=server.tls_context())
    c.login(ANN, PASSWORD)
    text = message(ANN, BOB, "from the drafts", "once only\r\n")
    answer = c.append("Drafts", None, None, text.encode())[1][0].decode()
    validity, uid = answer.split("APPENDUID ")[1].split("]")[0].split()
    c.logout()
    with submitter(server) as s:
        assert s.ehlo()[1].decode().find("BURL imap") >= 0
        for wrong, code in ((f"Drafts;UIDVALIDITY={int(validity) + 1}", 554),
                            ("Nowhere", 554)):
            assert s.docmd(f"MAIL FROM:<{ANN}>")[0] == 250
            assert s.docmd(f"RCPT TO:<{BOB}>")[0] == 250
            assert s.docmd(f"BURL imap://{DOMAIN}/{wrong}/;UID={uid} "
                           "LAST")[0] == code
        assert s.docmd(f"MAIL FROM:<{ANN}>")[0] == 250
        assert s.docmd(f"RCPT TO:<{BOB}>")[0] == 250
        assert s.docmd(
            f"BURL imap://ann%40{DOMAIN}@{DOMAIN}/Drafts;"
            f"UIDVALIDITY={validity}/;UID={uid} LAST")[0] == 250
    assert "once only" in arrived(server, "from the drafts", BOB)


def test_nobody_sends_the_drafts_of_others(server):
    with submitter(server, BOB) as s:
        assert s.docmd(f"MAIL FROM:<{BOB}>")[0] == 250
        assert s.docmd(f"RCPT TO:<{BOB}>")[0] == 250
        code, text = s.docmd(f"BURL imap://ann%40{DOMAIN}@{DOMAIN}/Drafts/"
                             ";UID=1 LAST")
        assert code == 554 and text.startswith(b"5.7.14")


def test_a_message_waits_for_its_time(server):
    with submitter(server) as s:
        assert s.docmd(f"MAIL FROM:<{ANN}> HOLDFOR=3600")[0] == 250
        assert s.docmd(f"RCPT TO:<{BOB}>")[0] == 250
        code, said = s.data(message(ANN, BOB, "tomorrow"))
        assert code == 250
        s.sendmail(ANN, [BOB], message(ANN, BOB, "today"))
    arrived(server, "today", BOB)
    assert not any("Subject: tomorrow" in t for t in inbox(server, BOB))
    assert said.decode().split()[-1] in server.cli("queue", "list").stdout


def test_a_report_is_sent_where_it_is_asked_for(server):
    with submitter(server) as s:
        s.sendmail(ANN, [BOB], message(ANN, BOB, "tell me"),
                   mail_options=["ENVID=note+2B1", "RET=HDRS"],
                   rcpt_options=["NOTIFY=SUCCESS",
                                 f"ORCPT=rfc822;Bob+2Bx@{DOMAIN}"])
    arrived(server, "tell me", BOB)
    report = eventually(lambda: next((
        t for t in inbox(server) if "multipart/report" in t), None))
    assert "Original-Envelope-Id: note+1\r\n" in report
    assert f"Original-Recipient: rfc822;Bob+x@{DOMAIN}\r\n" in report
    assert "Action: delivered\r\n" in report


# -- mail of others ---------------------------------------------------------------

def test_mail_is_kept_for_others():
    with Postrider(settings="""
            smtp { backup_domains = "primary.example"; }
            resolver { servers = "127.0.0.1@9"; timeout = 1s; }""") as p:
        with smtplib.SMTP("127.0.0.1", p.port("smtp")) as s:
            s.sendmail(OUTSIDE, ["who@primary.example"],
                       message(OUTSIDE, "who@primary.example", "kept"))
            with pytest.raises(smtplib.SMTPRecipientsRefused):
                s.sendmail(OUTSIDE, ["who@other.example"], "a: b\r\n")
            assert s.ehlo()[1].decode().find("ETRN") >= 0
            code, text = s.docmd("ETRN primary.example")
            assert code == 253 and b" 1 messages" in text
        assert "who@primary.example" in p.cli("queue", "list").stdout


# -- strangers ----------------------------------------------------------------------

# Reverse names of loopback addresses are the resolver's own: clients come
# through a proxy that gives them others.
ZONES = {"18.198.in-addr.arpa": "1.0 PTR good.peers.test.\n"
                                "3.0 PTR bad.peers.test.\n",
         "peers.test": "good A 198.18.0.1\nbad A 198.18.0.9\n"}


@pytest.fixture(scope="module")
def strict():
    """A server that trusts no address, with a DNS."""
    with Dns(ZONES) as dns, Postrider(settings=dns.settings + f"""
            listen {{ proxy_from = "{PROXY}"; }}
            smtp {{ trusted = ""; greet_delay = 3s; slow_down = 0; }}
            """) as p:
        yield p


class Client(Raw):
    """Somebody with an address of the outside."""

    def __init__(self, server, address):
        super().__init__(server, "smtp", PROXY)
        self.send(f"PROXY TCP4 {address} 192.0.2.1 4711 25\r\n".encode())

    def deliver(self, name):
        assert self.reply()[:3] == "220"
        assert self.ask(f"HELO {name}")[:3] == "250"
        assert self.ask(f"MAIL FROM:<{OUTSIDE}>")[:3] == "250"
        assert self.ask(f"RCPT TO:<{ANN}>")[:3] == "250"
        assert self.ask("DATA")[:3] == "354"
        assert self.ask(f"Subject: of {name}\r\n\r\n.")[:3] == "250"


def test_a_name_that_leads_back(strict):
    with Client(strict, "198.18.0.1") as c:
        c.deliver("hello.example")
    assert ("from hello.example (good.peers.test [198.18.0.1])" in
            arrived(strict, "of hello.example"))


@pytest.mark.parametrize("address", ["198.18.0.3", "198.18.0.4"])
def test_who_is_doubted_waits(strict, address):
    with Client(strict, address) as c:
        c.send(b"EHLO spammer.example\r\n")
        assert c.reply()[:3] == "554"
        assert c.closed()
    assert has_field(strict.log(), "smtp.too_eager", peer=address)
    with Client(strict, address) as c:
        c.deliver(f"patient-{address}")
    assert (f"from patient-{address} ([{address}])" in
            arrived(strict, f"of patient-{address}"))


def test_limits_of_a_minute():
    with Postrider(settings="""
            roles { mx = 1; }
            smtp { trusted = "127.0.0.1"; reverse_names = no;
                connections_per_minute = 4; messages_per_minute = 2;
                recipients_per_minute = 3; errors_per_minute = 2;
                slow_down = 0; }""") as p:
        with Raw(p, "smtp", "127.0.0.5") as c:
            c.reply()
            c.ask("EHLO fast.example")
            for expected in "250", "250", "450":
                assert c.ask(f"MAIL FROM:<{OUTSIDE}>")[:3] == expected
                c.ask("RSET")
        with Raw(p, "smtp", "127.0.0.6") as c:
            c.reply()
            c.ask("EHLO many.example")
            assert c.ask(f"MAIL FROM:<{OUTSIDE}>")[:3] == "250"
            for expected in "250", "250", "250", "450":
                assert c.ask(f"RCPT TO:<{ANN}>")[:3] == expected
        with Raw(p, "smtp", "127.0.0.7") as c:
            c.reply()
            c.ask("EHLO guess.example")
            assert c.ask(f"MAIL FROM:<{OUTSIDE}>")[:3] == "250"
            for name in "one", "two", "three":
                assert c.ask(f"RCPT TO:<{name}@{DOMAIN}>")[:3] == "550"
            assert c.reply()[:3] == "421"
        with Raw(p, "smtp", "127.0.0.7") as c:
            assert c.reply()[:3] == "421"
        for expected in "220", "220", "220", "220", "421":
            with Raw(p, "smtp", "127.0.0.8") as c:
                assert c.reply()[:3] == expected
        for _ in range(10):  # who is trusted has no limits
            with Raw(p, "smtp") as c:
                assert c.reply()[:3] == "220"
        assert "event=smtp.too_fast" in p.log()


def test_names_are_not_waited_for_without_a_dns():
    with Postrider(settings=f"""
            listen {{ proxy_from = "{PROXY}"; }}
            resolver {{ servers = "127.0.0.1@9"; timeout = 1s; }}
            smtp {{ trusted = ""; }}""") as p:
        with Client(p, "198.18.0.3") as c:
            c.deliver("who.example")
        assert "from who.example ([198.18.0.3])" in arrived(
            p, "of who.example")
