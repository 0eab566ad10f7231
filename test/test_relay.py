"""Sending to other systems: what relay does, and what becomes of the mail when
the other side misbehaves in any state and way."""
import imaplib
import os
import re
import shutil
import smtplib
import tempfile
import time

import pytest

from harness import DOMAIN, PASSWORD, Postrider, eventually, message
from internet import Dns
from peer import Peer, certificate

QUICK = """
relay.command_timeout = 1s
relay.data_timeout = 1s
relay.connect_timeout = 2s
relay.idle_time = 300ms
relay.down_first = 1s
relay.down_longest = 1s
auth.plaintext_on_loopback = yes
relay.local_addresses = yes
dkim.sign = no
"""
NO_DNS = 'resolver.servers = "127.0.0.1@1"\n'
ANN = f"ann@{DOMAIN}"


def route(port, more="", name="peer"):
    return (f'route {{ {name} {{ via = "smtp:[127.0.0.1]:{port}"; {more} }} }}'
            "\n" + NO_DNS)


def submit(server, *recipients, sender=ANN, text=None, options=(),
           rcpt_options=()):
    with smtplib.SMTP("127.0.0.1", server.port("submission")) as s:
        s.ehlo()
        s.login(ANN, PASSWORD)
        s.sendmail(sender, list(recipients), text or message(
            ANN, recipients[0]), options, rcpt_options)


def outcome(server, event, seconds=20):
    """The trace of the newest message, once it has that event."""
    def look():
        ids = re.findall(r"smtp\.accepted.*?queue_id=(\S+)", server.log())
        done = server.cli("trace", ids[-1], check=False).stdout if ids else ""
        return done if re.search(rf"\b{event}\b", done) else None
    return eventually(look, seconds)


def rss(server):
    with open(f"/proc/{server.role_pids()['relay'][0]}/status") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))


def inbox(server):
    """The first message of ann's, or nothing."""
    with imaplib.IMAP4("127.0.0.1", server.port("imap")) as imap:
        imap.login(ANN, PASSWORD)
        imap.select("INBOX")
        rows = imap.fetch("1", "(BODY.PEEK[])")[1]
        return rows[0][1].decode() if rows[0] else ""


def in_queue(server):
    return server.cli("queue", "list").stdout


# ---- the usual ---------------------------------------------------------------

def test_a_message_arrives_as_it_was_sent():
    body = "".join(f".line {i}\r\n" for i in range(1000)) + ".\r\n..\r\n"
    with Peer() as peer, Postrider(settings=route(peer.port) + QUICK) as p:
        submit(p, "eve@outside.test",
               text=message(ANN, "eve@outside.test", body=body))
        data = peer.wait()[0]["data"].decode()
        assert data.endswith("\r\n\r\n" + body)
        assert not data.startswith("Return-Path")
        assert "Received: " in data
        assert peer.messages[0]["sender"] == ANN
        assert peer.messages[0]["recipients"] == ["eve@outside.test"]
        assert "250 2.0.0 taken" in outcome(p, "sent")
        eventually(lambda: "empty" in in_queue(p) or "0 messages" in
                   in_queue(p) or not in_queue(p).strip())


@pytest.mark.parametrize("offers", [
    (), ("PIPELINING",), ("CHUNKING",), ("PIPELINING", "CHUNKING"),
    ("PIPELINING", "CHUNKING", "8BITMIME", "SMTPUTF8", "DSN", "SIZE 1000000")])
def test_with_whatever_the_server_offers(offers):
    with Peer(offers=offers) as peer, \
            Postrider(settings=route(peer.port) + QUICK) as p:
        for i in range(10):
            submit(p, f"eve{i}@outside.test", f"bob{i}@outside.test")
        assert len(peer.wait(10)) == 10
        got = sorted(r for m in peer.messages for r in m["recipients"])
        assert got == sorted([f"eve{i}@outside.test" for i in range(10)] +
                             [f"bob{i}@outside.test" for i in range(10)])
        assert peer.sessions < 10 or "PIPELINING" not in offers


@pytest.fixture
def folder():
    """One that every user may look into, unlike pytest's own."""
    path = tempfile.mkdtemp(prefix="postrider-relay-")
    os.chmod(path, 0o755)
    yield path
    shutil.rmtree(path)


def test_lmtp_over_a_unix_socket(folder):
    path = os.path.join(folder, "lmtp")
    with Peer(path=path, lmtp=True, **{
            "dot:full@outside.test": "452 4.2.2 full"}) as peer, \
            Postrider(settings=f'route {{ l {{ via = "lmtp:{path}"; }} }}\n'
                      + NO_DNS + QUICK) as p:
        submit(p, "eve@outside.test", "full@outside.test")
        peer.wait()
        assert peer.commands[0].startswith("LHLO ")
        assert "4.2.2" in outcome(p, "deferred")
        assert "<eve@outside.test> done" in in_queue(p)
        assert "<full@outside.test> waiting" in in_queue(p)


def test_eight_bits_for_a_server_of_seven():
    text = (f"From: <{ANN}>\r\nTo: <eve@outside.test>\r\nSubject: x\r\n"
            "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
            "Content-Transfer-Encoding: 8bit\r\n\r\nGr\u00fc\u00dfe\r\n")
    with Peer() as peer, Postrider(settings=route(peer.port) + QUICK) as p:
        submit(p, "eve@outside.test", text=text.encode(),
               options=["BODY=8BITMIME"])
        data = peer.wait()[0]["data"]
        assert all(b < 128 for b in data)
        assert b"quoted-printable" in data or b"base64" in data


# ---- where to -------------------------------------------------------------------

def test_mx_are_tried_in_order():
    with Peer("127.0.3.1") as second, \
            Peer("127.0.3.2", port=second.port, greeting="421 busy") as first:
        zones = {"outside.test": "@ MX 10 a\n@ MX 20 b\n@ MX 5 gone\n"
                 "a A 127.0.3.2\nb A 127.0.3.1\ngone A 127.0.3.3\n",
                 "null.test": "@ MX 0 .\n",
                 "implicit.test": "@ A 127.0.3.1\n",
                 "loop.test": f"@ MX 10 mail.{DOMAIN}.\n@ MX 20 x\n"}
        with Dns(zones) as dns, Postrider(
                settings=dns.settings + QUICK +
                f"relay.port = {second.port}\n") as p:
            submit(p, "eve@outside.test")
            assert len(second.wait()) == 1
            assert first.sessions > 0
            assert "b.outside.test[127.0.3.1]" in outcome(p, "sent")
            submit(p, "eve@implicit.test")
            assert len(second.wait(2)) == 2
            for domain, code in (("null.test", "5.1.10"),
                                 ("loop.test", "5.4.6"),
                                 ("nosuch.test", "5.1.2")):
                submit(p, f"eve@{domain}")
                assert code in outcome(p, "failed")


def test_local_addresses_are_not_for_strangers_mail():
    with Peer("127.0.3.1") as peer:
        zones = {"outside.test": "@ A 127.0.3.1\n"}
        with Dns(zones) as dns, Postrider(
                settings=dns.settings + QUICK.replace(
                    "relay.local_addresses = yes", "") +
                f"relay.port = {peer.port}\n") as p:
            submit(p, "eve@outside.test")
            assert "5.4.4" in outcome(p, "failed")
            assert peer.sessions == 0


# ---- misbehaviour -----------------------------------------------------------------

WAYS = ["drop", "reset", "stall", "trickle", "endless", "huge", "rubbish",
        "disagreeing"]


@pytest.mark.parametrize("way", WAYS)
def test_misbehaviour_in_every_state(way):
    """The mail waits, nothing is lost, relay's memory stays what it was, and
    other destinations do not notice."""
    states = ["greeting", "hello", "mail", "rcpt", "data", "dot"]
    peers = [Peer(offers=("PIPELINING",), **{s: [way, way, None]})
             for s in states]
    good = Peer()
    routes = "".join(
        f'{s} {{ recipient = "{s}.test"; via = "smtp:[127.0.0.1]:{x.port}"; }}'
        for s, x in zip(states, peers))
    routes += (f'good {{ recipient = "good.test"; '
               f'via = "smtp:[127.0.0.1]:{good.port}"; }}')
    try:
        for x in [*peers, good]:
            x.__enter__()
        with Postrider(settings=f"route {{ {routes} }}\n" + NO_DNS + QUICK +
                       "relay.retry_first = 1s\nrelay.retry_longest = 1s\n"
                       ) as p:
            submit(p, "a@good.test")
            good.wait()
            before = rss(p)
            for s in states:
                submit(p, f"eve@{s}.test")
            submit(p, "b@good.test")
            assert len(good.wait(2, seconds=5)) == 2
            for s, x in zip(states, peers):
                assert len(x.wait(seconds=30)) >= 1, (s, p.log()[-3000:])
            assert rss(p) < before + 20000
            assert "status=" not in p.log()
            eventually(lambda: ".test" not in in_queue(p), 30)
    finally:
        for x in [*peers, good]:
            x.__exit__()


@pytest.mark.parametrize("state", ["mail", "rcpt", "data", "dot"])
def test_a_no_for_good_bounces(state):
    with Peer(**{state: "554 5.7.0 never"}) as peer, \
            Postrider(settings=route(peer.port) + QUICK) as p:
        submit(p, "eve@outside.test")
        trace = outcome(p, "failed")
        assert "5.7.0" in trace and "554" in trace
        eventually(lambda: "outside.test" not in in_queue(p))
        bounce = eventually(lambda: inbox(p))
        assert "Diagnostic-Code: smtp; 554 5.7.0 never" in bounce
        assert "Status: 5.7.0" in bounce


@pytest.mark.parametrize("state", ["greeting", "mail", "rcpt", "data", "dot"])
def test_a_no_for_now_waits(state):
    with Peer(**{state: "450 4.7.0 not now"}) as peer, \
            Postrider(settings=route(peer.port) + QUICK) as p:
        submit(p, "eve@outside.test")
        assert "4.7.0" in outcome(p, "deferred")
        assert "eve@outside.test" in in_queue(p)


def test_lies_about_extensions():
    """What it offered it does not understand: the mail waits or fails with
    its words, and is not lost."""
    with Peer(offers=("PIPELINING", "SIZE 1", "8BITMIME")) as peer, \
            Postrider(settings=route(peer.port) + QUICK) as p:
        submit(p, "eve@outside.test")
        assert "5.3.4" in outcome(p, "failed")
        assert peer.messages == []
    with Peer(tls=None, offers=("STARTTLS",),
              starttls="502 5.5.1 what?") as peer, \
            Postrider(settings=route(peer.port) + QUICK) as p:
        submit(p, "eve@outside.test")
        assert len(peer.wait()) == 1
        assert not peer.messages[0]["tls"]


# ---- TLS -----------------------------------------------------------------------------

def break_off(session):
    """The handshake begins, and then there is nobody."""
    session.socket.recv(100)
    session.socket.close()


def fail_late(session):
    """A ClientHello is answered by something that is no TLS."""
    session.socket.recv(16384)
    session.socket.sendall(b"\x16\x03\x03\x00\x04rubb" * 10)
    time.sleep(0.2)
    session.socket.close()


def test_tls_is_used_and_told(tmp_path):
    context, _ = certificate(str(tmp_path), "peer.test")
    with Peer(tls=context) as peer, \
            Postrider(settings=route(peer.port) + QUICK) as p:
        submit(p, "eve@outside.test")
        assert peer.wait()[0]["tls"]
        trace = outcome(p, "sent")
        assert "tls=TLSv1.3" in trace and "verified=no" in trace


@pytest.mark.parametrize("handshake", [break_off, fail_late])
def test_tls_that_fails_is_done_without_where_it_may(tmp_path, handshake):
    context, _ = certificate(str(tmp_path), "peer.test")
    with Peer(tls=context, handshake=handshake) as peer, \
            Postrider(settings=route(peer.port) + QUICK) as p:
        submit(p, "eve@outside.test")
        assert not peer.wait()[0]["tls"]
    with Peer(tls=context, handshake=handshake) as peer, \
            Postrider(settings=route(peer.port, "tls = encrypt;") + QUICK) \
            as p:
        submit(p, "eve@outside.test")
        assert "4.7.5" in outcome(p, "deferred")
        assert peer.messages == []


def test_who_demands_tls_gets_it_or_waits(tmp_path):
    with Peer() as peer, Postrider(
            settings=route(peer.port, "tls = encrypt;") + QUICK) as p:
        submit(p, "eve@outside.test")
        assert "4.7.4" in outcome(p, "deferred")
        assert peer.messages == []


def test_a_certificate_must_fit_where_it_is_verified(tmp_path):
    os.chmod(tmp_path, 0o755)
    right, pem = certificate(str(tmp_path), "mx.outside.test")
    wrong, _ = certificate(str(tmp_path), "other.test")
    zones = {"outside.test": "@ MX 10 mx\nmx A 127.0.3.1\n"}
    for context, good in ((right, True), (wrong, False)):
        with Peer("127.0.3.1", tls=context) as peer, Dns(zones) as dns, \
                Postrider(settings=dns.settings + QUICK +
                          f"relay.port = {peer.port}\nrelay.tls = verify\n"
                          f'relay.authorities = "{pem}"\n') as p:
            submit(p, "eve@outside.test")
            if good:
                assert "verified=yes" in outcome(p, "sent")
            else:
                assert "4.7.5" in outcome(p, "deferred")
                assert peer.messages == []


# ---- logging in -----------------------------------------------------------------------

def test_a_smarthost_wants_a_login(tmp_path):
    context, _ = certificate(str(tmp_path), "peer.test")
    password = tmp_path / "password"
    password.write_text("open sesame\n")
    more = f'login = "us"; password_file = "{password}";'
    with Peer(tls=context, offers=("AUTH PLAIN",)) as peer, \
            Postrider(settings=route(peer.port, more) + QUICK) as p:
        submit(p, "eve@outside.test")
        peer.wait()
        assert "AUTH PLAIN AHVzAG9wZW4gc2VzYW1l" in peer.commands
        assert "open sesame" not in p.log()
    with Peer(offers=("AUTH PLAIN",)) as peer, \
            Postrider(settings=route(peer.port, more) + QUICK) as p:
        submit(p, "eve@outside.test")
        assert "4.7.4" in outcome(p, "deferred")
        assert not any(c.startswith("AUTH") for c in peer.commands)
    with Peer(tls=context, offers=("AUTH PLAIN",),
              auth="535 5.7.8 no") as peer, \
            Postrider(settings=route(peer.port, more) + QUICK) as p:
        submit(p, "eve@outside.test")
        assert "4.7.8" in outcome(p, "deferred")


# ---- from one of us to another ----------------------------------------------------------

def test_from_one_postrider_to_another():
    """By MX, with TLS and all extensions; a recipient that is not there comes
    back as a bounce."""
    with Postrider(domain="there.test", accounts=("eve",),
                   settings=NO_DNS + "dkim.sign = no\n"
                   "listen.smtp = 127.0.0.1:25\n"
                   "auth.plaintext_on_loopback = yes\n") as there:
        zones = {"there.test": "@ MX 10 mx\nmx A 127.0.0.1\n"}
        with Dns(zones) as dns, Postrider(
                settings=dns.settings + QUICK +
                f"relay.port = {there.port('smtp')}\n") as p:
            submit(p, "eve@there.test")
            trace = outcome(p, "sent")
            assert "tls=TLSv1.3" in trace and "mx.there.test" in trace
            with imaplib.IMAP4("127.0.0.1", there.port("imap")) as imap:
                imap.login("eve@there.test", PASSWORD)
                eventually(lambda: imap.select("INBOX")[1] == [b"1"])
                text = imap.fetch("1", "(BODY.PEEK[])")[1][0][1].decode()
            assert text.startswith(f"Return-Path: <{ANN}>\r\n")
            assert "ESMTPS" in text
            submit(p, "nobody@there.test")
            assert "5.1.1" in outcome(p, "failed")
            assert "Action: failed" in eventually(lambda: inbox(p))


# ---- deaths -----------------------------------------------------------------------------

@pytest.mark.parametrize("role", ["relay", "store", "resolver", "signer"])
def test_a_role_that_dies_loses_nothing(role):
    with Peer(offers=("PIPELINING",)) as peer, \
            Postrider(settings=route(peer.port) + QUICK +
                      "relay.retry_first = 1s\nlimit.messages_per_day = 0\n"
                      ) as p:
        for i in range(60):
            submit(p, f"eve{i}@outside.test")
            if i % 20 == 10:
                for pid in p.role_pids().get(role, []):
                    os.kill(pid, 9)
                time.sleep(0.3)
        eventually(lambda: len({m["recipients"][0] for m in peer.messages})
                   == 60, 40)
        assert len(peer.messages) < 60 + 15     # repeated ones are few


def test_what_is_being_sent_is_finished_at_a_stop():
    with Peer(data="354 go on", dot=["stall"]) as peer, \
            Postrider(settings=route(peer.port) + QUICK.replace(
                "data_timeout = 1s", "data_timeout = 60s") +
                "session.stop_time = 1s\n") as p:
        submit(p, "eve@outside.test")
        peer.wait()
        started = time.monotonic()
        assert p.stop() == 0
        assert time.monotonic() - started < 15
        p.start()
        assert "eve@outside.test" in in_queue(p)
