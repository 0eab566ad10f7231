"""A small internet: Postrider among Postfix, Exim and OpenSMTPD.

In a network namespace of its own, with a real, signed DNS on port 53 and every
server on port 25 of its own address. Mail goes both ways between Postrider and
each of them, and through it from one to another.
"""
import email
import imaplib
import os
import smtplib

import pytest
from harness import PASSWORD, Postrider, eventually, message

if os.geteuid() != 0:
    pytest.skip("namespaces and port 25 are root's", allow_module_level=True)

from internet import Dns                                # noqa: E402
from peers import (NAMESERVER, Exim, OpenSMTPD, Postfix,  # noqa: E402
                   isolate)

OURS, DOMAIN = "127.0.1.1", "ours.test"
PEERS = {"postfix": (Postfix, "127.0.2.1"), "exim": (Exim, "127.0.3.1"),
         "opensmtpd": (OpenSMTPD, "127.0.4.1")}


def zone(address):
    return f"@ MX 10 mx\nmx A {address}\n"


class Ours(Postrider):
    """Postrider on its own address and the real ports."""

    def __init__(self, settings):
        super().__init__(accounts=("ann", "bob"), domain=DOMAIN,
                         settings=settings)

    def port(self, name):
        return {"smtp": 25, "submission": 587, "imap": 143}[name]

    def start(self, wait=True):
        self.offset = 0
        return super().start(wait)


@pytest.fixture(scope="module")
def world():
    """{"ours": Postrider, "postfix": Postfix, ...} on one loopback."""
    zones = {f"{name}.test": zone(address)
             for name, (_, address) in PEERS.items()}
    zones[DOMAIN] = f"@ MX 10 mail\nmail A {OURS}\nmail A 127.0.0.1\n"
    with isolate(), Dns(zones, address=NAMESERVER, port=53) as dns:
        running = {}
        try:
            for name, (kind, address) in PEERS.items():
                running[name] = kind(address, f"{name}.test",
                                     SETTINGS.get(name, ""))
                running[name].start()
            with Ours(f"""
                    listen {{ smtp = "{OURS}:25 127.0.0.1:25";
                        submission = "{OURS}:587 127.0.0.1:587";
                        imap = "127.0.0.1:143";
                        submissions = ""; imaps = ""; pop3 = ""; pop3s = "";
                        metrics = "" }}
                    auth {{ plaintext_on_loopback = yes }}
                    resolver {{ servers = system;
                        trust_anchor = "{dns.trust_anchor}" }}
                    relay {{ local_addresses = yes; source = "{OURS}";
                        retry_first = 1s; retry_longest = 2s;
                        down_first = 1s; down_longest = 2s }}
                    """) as ours:
                running["ours"] = ours
                yield running
        finally:
            for name in PEERS:
                if name in running:
                    running[name].__exit__(None)


SETTINGS = {
    "postfix": """
virtual_alias_maps = inline:{back@postfix.test=loop@ours.test}
smtpd_recipient_restrictions = check_recipient_access inline:{nobody@postfix.test=REJECT}, permit_mynetworks, reject_unauth_destination
""",
}


def submit(sender, to, text, options=(), rcpt_options=()):
    with smtplib.SMTP(OURS, 587, timeout=30) as s:
        s.ehlo("client.test")
        s.login(sender, PASSWORD)
        return s.sendmail(sender, [to], text.encode(), mail_options=options,
                          rcpt_options=rcpt_options)


def inbox(user):
    with imaplib.IMAP4("127.0.0.1", 143) as c:
        c.login(f"{user}@{DOMAIN}", PASSWORD)
        c.select("INBOX")
        found = c.uid("SEARCH", "ALL")[1][0].split()
        return [email.message_from_bytes(
            c.uid("FETCH", uid, "(BODY.PEEK[])")[1][0][1]) for uid in found]


def with_subject(messages, subject):
    return next((m for m in messages if m["Subject"] == subject), None)


def arrived(peer, subject):
    return eventually(lambda: with_subject(peer.messages(), subject), 30)


def came(user, subject):
    return eventually(lambda: with_subject(inbox(user), subject), 30)


def notice(user, about):
    """The notification that speaks of an address."""
    return eventually(lambda: next(
        (m for m in inbox(user) if m.get_content_type() ==
         "multipart/report" and about in m.as_string()), None), 30)


def trace(world, m):
    return world["ours"].cli("trace", m["Message-ID"]).stdout


@pytest.mark.parametrize("name", PEERS)
def test_to_them(world, name):
    subject = f"from us to {name}"
    submit(f"ann@{DOMAIN}", f"someone@{name}.test", message(
        f"ann@{DOMAIN}", f"someone@{name}.test", subject,
        extra=f"Message-ID: <to-{name}@{DOMAIN}>\r\n"))
    got = arrived(world[name], subject)
    assert got.get_payload() in ("text\r\n", "text\n")
    steps = eventually(lambda: "sent" in trace(world, got) and
                       trace(world, got))
    # They offer TLS, and their certificates are nobody's: it is used. Where
    # it fails the message still arrives, and the trace says what failed.
    if name == "opensmtpd":
        assert "tls=no" in steps and "handshake" in steps, steps
    else:
        assert "TLSv1.3" in steps, steps
    assert f"mx.{name}.test[" in steps, steps


@pytest.mark.parametrize("name", PEERS)
def test_from_them(world, name):
    subject = f"from {name} to us"
    world[name].send(f"x@{name}.test", [f"ann@{DOMAIN}"], message(
        f"x@{name}.test", f"ann@{DOMAIN}", subject))
    got = came("ann", subject)
    assert f"mx.{name}.test" in got["Received"]
    assert got["Return-Path"] == f"<x@{name}.test>"


@pytest.mark.parametrize("name", PEERS)
def test_eight_bits(world, name):
    """OpenSMTPD takes 8-bit text without saying 8BITMIME in some versions;
    whatever is offered, the text is the same when it is read."""
    subject = f"eight bits to {name}"
    text = (message(f"ann@{DOMAIN}", f"x@{name}.test", subject, "",
                    "MIME-Version: 1.0\r\n"
                    "Content-Type: text/plain; charset=utf-8\r\n"
                    "Content-Transfer-Encoding: 8bit\r\n") +
            "Grüße aus Zürich\r\n")
    with smtplib.SMTP(OURS, 587, timeout=30) as s:
        s.ehlo("client.test")
        s.login(f"ann@{DOMAIN}", PASSWORD)
        s.sendmail(f"ann@{DOMAIN}", [f"x@{name}.test"], text.encode(),
                   mail_options=["BODY=8BITMIME"])
    got = arrived(world[name], subject)
    assert "Grüße aus Zürich" in got.get_payload(decode=True).decode()


def test_several_places_at_once(world):
    """One message to all of them and to one of us; once each."""
    subject = "to everybody"
    to = [f"all@{name}.test" for name in PEERS] + [f"bob@{DOMAIN}"]
    with smtplib.SMTP(OURS, 587, timeout=30) as s:
        s.ehlo("client.test")
        s.login(f"ann@{DOMAIN}", PASSWORD)
        s.sendmail(f"ann@{DOMAIN}", to, message(
            f"ann@{DOMAIN}", ", ".join(to), subject))
    for name in PEERS:
        arrived(world[name], subject)
    came("bob", subject)
    for name in PEERS:
        assert [m["Subject"] for m in world[name].messages()].count(
            subject) == 1


def test_returned(world):
    """Postfix does not know the recipient: its words reach the sender."""
    submit(f"ann@{DOMAIN}", "nobody@postfix.test", message(
        f"ann@{DOMAIN}", "nobody@postfix.test", "for nobody"))
    m = notice("ann", "nobody@postfix.test")
    status = m.get_payload()[1].as_string()
    assert "Action: failed" in status
    assert "Final-Recipient: rfc822; nobody@postfix.test" in status or \
        "Final-Recipient: rfc822;nobody@postfix.test" in status
    assert "mx.postfix.test" in status
    assert "Diagnostic-Code: smtp;" in status


def test_no_such_domain(world):
    submit(f"ann@{DOMAIN}", "x@nowhere.test", message(
        f"ann@{DOMAIN}", "x@nowhere.test", "into the void"))
    m = notice("ann", "x@nowhere.test")
    assert "5.1.2" in m.get_payload()[1].as_string()


def test_success_is_told(world):
    """Postfix knows DSN, and so tells of the delivery itself."""
    submit(f"bob@{DOMAIN}", "told@postfix.test", message(
        f"bob@{DOMAIN}", "told@postfix.test", "tell me"),
        options=["RET=HDRS", "ENVID=id+2D1"],
        rcpt_options=["NOTIFY=SUCCESS,FAILURE",
                      "ORCPT=rfc822;told@postfix.test"])
    m = notice("bob", "told@postfix.test")
    status = m.get_payload()[1].as_string()
    assert "Original-Envelope-Id: id-1" in status
    assert "Action: delivered" in status or "Action: relayed" in status


def test_sent_on(world):
    """From Exim through an alias of ours to Postfix: the sender is rewritten
    so that SPF holds, and the way back leads to Exim."""
    world["ours"].cli("alias", "add", f"away@{DOMAIN}", "x@postfix.test")
    world["exim"].send("writer@exim.test", [f"away@{DOMAIN}"], message(
        "writer@exim.test", f"away@{DOMAIN}", "sent on"))
    got = arrived(world["postfix"], "sent on")
    assert got["Return-Path"].lower().startswith("<srs0=")
    assert got["Return-Path"].endswith(f"@{DOMAIN}>")
    assert got["Delivered-To"] is not None


def test_the_way_back(world):
    world["ours"].cli("alias", "add", f"lost@{DOMAIN}",
                      "nobody@postfix.test")
    world["exim"].send("back@exim.test", [f"lost@{DOMAIN}"], message(
        "back@exim.test", f"lost@{DOMAIN}", "sent on in vain"))
    eventually(lambda: next(
        (m for m in world["exim"].messages() if m.get_content_type() ==
         "multipart/report" and "nobody@postfix.test" in m.as_string()),
        None), 30)


def test_aliases_that_lead_back(world):
    """Postfix sends it back to us: the loop ends, and the sender hears."""
    world["ours"].cli("alias", "add", f"loop@{DOMAIN}", "back@postfix.test")
    submit(f"ann@{DOMAIN}", f"loop@{DOMAIN}", message(
        f"ann@{DOMAIN}", f"loop@{DOMAIN}", "round and round"))
    m = notice("ann", f"loop@{DOMAIN}")
    assert "5.4.6" in m.get_payload()[1].as_string()


def test_tls_is_checked_when_a_route_says_so(world):
    """Their certificates are their own: `verify` must refuse them."""
    ours = world["ours"]
    with open(ours.config, "a") as f:
        f.write('\nroute { strict { recipient = "strict@exim.test"; '
                "tls = verify } }\n")
    ours.cli("reload")
    submit(f"ann@{DOMAIN}", "strict@exim.test", message(
        f"ann@{DOMAIN}", "strict@exim.test", "only if it is you",
        extra=f"Message-ID: <strict@{DOMAIN}>\r\n"))
    steps = eventually(lambda: "deferred" in ours.cli(
        "trace", f"<strict@{DOMAIN}>").stdout and ours.cli(
        "trace", f"<strict@{DOMAIN}>").stdout)
    assert "certificate" in steps, steps
    assert not with_subject(world["exim"].messages(), "only if it is you")
