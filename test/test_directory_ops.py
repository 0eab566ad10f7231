"""Aliases that lead outside, groups, forwarding, masked addresses, limits,
suppression, and what the operator does with the queue."""
import json
import re
import smtplib

import pytest

from harness import DOMAIN, PASSWORD, Postrider, eventually, message
from peer import Peer

ANN, BOB, EVE = f"ann@{DOMAIN}", f"bob@{DOMAIN}", "eve@outside.test"
SETTINGS = """
relay.command_timeout = 2s
relay.connect_timeout = 2s
relay.down_first = 1h
relay.down_longest = 1h
relay.retry_first = 1h
auth.plaintext_on_loopback = yes
dkim.sign = no
resolver.servers = "127.0.0.1@1"
"""


def route(port):
    return f'route {{ peer {{ via = "smtp:[127.0.0.1]:{port}"; }} }}\n'


@pytest.fixture(scope="module")
def world():
    with Peer() as peer, Postrider(settings=route(peer.port) +
                                   SETTINGS) as server:
        yield server, peer


def submit(server, *recipients, sender=ANN, login=ANN, subject="hello",
           extra=""):
    with smtplib.SMTP("127.0.0.1", server.port("submission")) as s:
        s.login(login, PASSWORD)
        s.sendmail(sender, list(recipients),
                   message(sender, recipients[0], subject, extra=extra))


def deliver(server, *recipients, sender="sue@far.test", subject="hello",
            extra=""):
    """From a stranger, to port 25."""
    with smtplib.SMTP("127.0.0.1", server.port("smtp")) as s:
        s.sendmail(sender, list(recipients), message(
            "sue@far.test", recipients[0], subject, extra=extra))


def rcpt(server, recipient, sender="sue@far.test"):
    """The reply to RCPT on port 25."""
    with smtplib.SMTP("127.0.0.1", server.port("smtp")) as s:
        s.ehlo()
        s.mail(sender)
        code, text = s.rcpt(recipient)
        return f"{code} {text.decode()}"


def out(peer, subject, count=1):
    """What the peer got with that subject."""
    def look():
        got = [m for m in peer.messages
               if f"Subject: {subject}\r\n".encode() in m["data"]]
        return got if len(got) >= count else None
    return eventually(look)


def as_json(server, *words):
    return json.loads(server.cli(*words, "--json").stdout)


def account(server, address):
    return next(a for a in as_json(server, "account", "list")
                if a["address"] == address)


def held(server, address=ANN):
    return account(server, address)["messages"]


# -- where mail goes ------------------------------------------------------------

def test_alias_outside_and_back(world):
    server, peer = world
    server.cli("alias", "add", f"away@{DOMAIN}", EVE, ANN)
    before = held(server)
    deliver(server, f"away@{DOMAIN}", subject="out-1")
    m = out(peer, "out-1")[0]
    assert m["recipients"] == [EVE]
    assert m["data"].startswith(f"Delivered-To: away@{DOMAIN}\r\n".encode())
    assert re.fullmatch(rf"SRS0=.{{8}}=..=far\.test=sue@{DOMAIN}",
                        m["sender"])
    eventually(lambda: held(server) == before + 1)
    # The way back: for notifications alone.
    assert rcpt(server, m["sender"], "x@far.test").startswith("550 5.7.1")
    assert rcpt(server, "SRS0=AAAAAAAA=AA=far.test=sue@" + DOMAIN,
                "").startswith("550 5.1.1")
    deliver(server, m["sender"], sender="", subject="back-1")
    back = out(peer, "back-1")[0]
    assert back["recipients"] == ["sue@far.test"] and back["sender"] == ""


def test_own_senders_are_not_rewritten(world):
    server, peer = world
    server.cli("alias", "add", f"plain@{DOMAIN}", EVE)
    submit(server, f"plain@{DOMAIN}", subject="plain-1")
    assert out(peer, "plain-1")[0]["sender"] == ANN


def test_a_circle_ends(world):
    server, peer = world
    server.cli("alias", "add", f"round@{DOMAIN}", EVE)
    deliver(server, f"round@{DOMAIN}", subject="round-1")
    came_back = out(peer, "round-1")[0]
    with smtplib.SMTP("127.0.0.1", server.port("smtp")) as s:
        s.sendmail(came_back["sender"], [f"round@{DOMAIN}"],
                   came_back["data"])
    eventually(lambda: "5.4.6" in server.cli(
        "trace", last_id(server)).stdout)
    # Once outside; then a notification, to who sent it first.
    bounce = out(peer, "round-1", 2)[1]
    assert (bounce["sender"], bounce["recipients"]) == ("", ["sue@far.test"])
    eventually(lambda: as_json(server, "queue", "list") == [])
    assert len(out(peer, "round-1")) == 2


def last_id(server):
    return re.findall(r"smtp\.accepted.*?queue_id=(\S+)", server.log())[-1]


def test_forwarding(world):
    server, peer = world
    server.add_account(f"cat@{DOMAIN}")
    server.cli("account", "forward", f"cat@{DOMAIN}", EVE, "--keep")
    deliver(server, f"cat@{DOMAIN}", subject="cat-1")
    out(peer, "cat-1")
    eventually(lambda: held(server, f"cat@{DOMAIN}") == 1)
    row = account(server, f"cat@{DOMAIN}")
    assert row["forward"] == [EVE] and row["keeps"]
    server.cli("account", "forward", f"cat@{DOMAIN}", EVE)
    deliver(server, f"cat@{DOMAIN}", subject="cat-2")
    out(peer, "cat-2")
    assert held(server, f"cat@{DOMAIN}") == 1
    assert server.cli("account", "forward", f"cat@{DOMAIN}",
                      f"cat@{DOMAIN}", check=False).returncode == 65
    assert server.cli("account", "forward", f"cat@{DOMAIN}", "--keep",
                      check=False).returncode == 64
    server.cli("account", "forward", f"cat@{DOMAIN}")
    deliver(server, f"cat@{DOMAIN}")
    eventually(lambda: held(server, f"cat@{DOMAIN}") == 2)


def test_groups(world, tmp_path):
    server, peer = world
    club = f"club@{DOMAIN}"
    members = tmp_path / "members"
    members.write_text(f"{ANN}\n{EVE}\n")
    server.cli("group", "set", club, "--members", str(members))
    deliver(server, club, subject="club-1")
    assert out(peer, "club-1")[0]["sender"] == f"postmaster@{DOMAIN}"
    server.cli("alias", "add", f"owner-club@{DOMAIN}", BOB)
    server.cli("group", "join", club, BOB)
    server.cli("group", "leave", club, ANN)
    deliver(server, club, subject="club-2")
    assert out(peer, "club-2")[0]["sender"] == f"owner-club@{DOMAIN}"
    server.cli("group", "set", club, "--who", "members")
    assert as_json(server, "group", "list") == [
        {"address": club, "who": "members", "members": [EVE, BOB]}]
    # What the mx processes knew of it they forget soon, each for itself.
    eventually(lambda: rcpt(server, club).startswith("550 5.7.2"))
    eventually(lambda: rcpt(server, club, BOB).startswith("550 5.7.2"))
    assert rcpt(server, club, EVE).startswith("250")
    submit(server, club, sender=BOB, login=BOB, subject="club-3")
    out(peer, "club-3")
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        submit(server, club)
    assert b"5.7.2" in refused.value.recipients[club][1]
    # Nobody sends as a group.
    with pytest.raises(smtplib.SMTPSenderRefused):
        submit(server, EVE, sender=club, login=BOB)
    for words, status in (
            (("group", "set", club, f"nobody@{DOMAIN}"), 67),
            (("group", "set", f"new@{DOMAIN}"), 64),
            (("group", "set", ANN, BOB), 73),
            (("group", "set", club, "--who", "friends"), 64),
            (("group", "join", f"none@{DOMAIN}", BOB), 67),
            (("group", "leave", club, BOB, EVE), 64)):
        assert server.cli(*words, check=False).returncode == status, words
    server.cli("group", "remove", club)
    eventually(lambda: rcpt(server, club).startswith("550 5.1.1"))
    assert server.cli("group", "remove", club, check=False).returncode == 67


def test_masks(world):
    server, peer = world
    mask = server.cli("mask", "add", ANN, "--note", "a \x1b[7m shop"
                      ).stdout.strip()
    before = held(server)
    deliver(server, mask)
    eventually(lambda: held(server) == before + 1)
    row, = as_json(server, "mask", "list", ANN)
    assert row["address"] == mask and row["messages"] == 1 and row["active"]
    assert "\x1b" not in server.cli("mask", "list", ANN).stdout
    submit(server, EVE, sender=mask, subject="masked-1")
    assert out(peer, "masked-1")[0]["sender"] == mask
    server.cli("mask", "kill", mask)
    assert rcpt(server, mask).startswith("550 5.1.6")
    with pytest.raises(smtplib.SMTPSenderRefused):
        submit(server, EVE, sender=mask)
    assert server.cli("alias", "add", mask, BOB,
                      check=False).returncode == 73
    server.cli("mask", "revive", mask)
    assert rcpt(server, mask).startswith("250")
    assert server.cli("mask", "kill", f"x@{DOMAIN}",
                      check=False).returncode == 67


# -- what senders may -------------------------------------------------------------

def test_limits(world):
    server, peer = world
    server.add_account(f"dan@{DOMAIN}")
    dan = f"dan@{DOMAIN}"
    server.cli("account", "limit", dan, "--messages", "2")
    for i in range(4):
        submit(server, EVE, sender=dan, login=dan, subject=f"limit-{i}")
    out(peer, "limit-1")
    waiting = eventually(lambda: len(as_json(
        server, "queue", "list", "--sender", dan)) == 2 and
        as_json(server, "queue", "list", "--sender", dan))
    assert {w["state"] for w in waiting} == {"held"}
    assert all("4.7.1" in w["reason"] for w in waiting)
    row = account(server, dan)
    assert row["sent_messages"] == 2 and row["max_messages"] == 2
    # ann is the first account, and so postmaster: told once.
    log = server.log()
    assert log.count("event=limit.held") == 2
    assert "Mail of dan" in inbox(server, ANN)
    assert inbox(server, ANN).count("Subject: Mail of dan") == 1
    server.cli("queue", "release", "--sender", dan)
    out(peer, "limit-2")
    out(peer, "limit-3")
    for bad in ("x", "-1", "1.5", ""):
        assert server.cli("account", "limit", dan, "--messages", bad,
                          check=False).returncode == 64
    server.cli("account", "limit", dan, "--messages", "any",
               "--recipients", "default")
    assert as_json(server, "account", "limit", dan)["max_messages"] is None


def inbox(server, user):
    import imaplib
    with imaplib.IMAP4_SSL("127.0.0.1", server.port("imaps"),
                           ssl_context=server.tls_context()) as c:
        c.login(user, PASSWORD)
        c.select("INBOX", readonly=True)
        _, data = c.fetch("1:*", "(BODY.PEEK[HEADER])")
        return "".join(d[1].decode() for d in data if isinstance(d, tuple))


def test_suppression(world):
    server, _ = world
    gone = "gone@outside.test"
    server.cli("suppress", "add", gone, "--reason", "asked us")
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        submit(server, gone)
    assert b"5.1.1" in refused.value.recipients[gone][1]
    row, = as_json(server, "suppress", "list")
    assert row["address"] == gone and row["reason"] == "asked us"
    assert row["until"] is None
    server.cli("suppress", "remove", gone)
    submit(server, gone)
    assert server.cli("suppress", "remove", gone,
                      check=False).returncode == 67
    assert server.cli("suppress", "add", ANN, check=False).returncode == 65


def test_suppressed_by_their_own_server():
    with Peer(rcpt="550 5.1.1 nobody here") as peer, Postrider(
            settings=route(peer.port) + SETTINGS) as server:
        submit(server, EVE)
        row, = eventually(lambda: as_json(server, "suppress", "list"))
        assert row["address"] == EVE and "nobody here" in row["reason"]
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            submit(server, "EVE@outside.test")
        # It survives a restart.
        server.restart()
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            submit(server, EVE)


# -- the queue -----------------------------------------------------------------------

@pytest.fixture(scope="module")
def stuck():
    """A server with a queue that stays: its peer defers everything."""
    with Peer(rcpt="450 4.2.0 later") as peer, Postrider(
            settings=route(peer.port) + SETTINGS) as server:
        submit(server, "a@one.test", "b@two.test", ANN, subject="parts")
        submit(server, "c@one.test", sender=BOB, login=BOB)
        submit(server, "d@three.test", sender=BOB, login=BOB)
        eventually(lambda: len(as_json(server, "queue", "list", "--state",
                                       "deferred")) == 4)
        yield server


def picked(server, *words):
    return sorted(r.split(">")[0][1:] for m in as_json(
        server, "queue", "list", *words) for r in m["recipients"])


def test_queue_filters(stuck):
    everyone = ["a@one.test", "b@two.test", "c@one.test", "d@three.test"]
    assert picked(stuck) == everyone
    assert picked(stuck, "--sender", BOB) == everyone[2:]
    assert picked(stuck, "--sender", f"@{DOMAIN}") == everyone
    assert picked(stuck, "--sender", "<>") == []
    assert picked(stuck, "--recipient", "@one.test") == [
        "a@one.test", "c@one.test"]
    assert picked(stuck, "--recipient", "A@One.test") == ["a@one.test"]
    assert picked(stuck, "--recipient", "@one.test", "--sender", BOB) == [
        "c@one.test"]
    assert picked(stuck, "--destination", "two.test") == ["b@two.test"]
    assert picked(stuck, "--destination", "local") == []
    assert picked(stuck, "--older-than", "1h") == []
    assert picked(stuck, "--older-than", "0s") == everyone
    assert picked(stuck, "--state", "held") == []
    for bad in ("1y", "x", "", "-1h"):
        assert stuck.cli("queue", "list", "--older-than", bad,
                         check=False).returncode == 64
    said = stuck.cli("queue", "list", "--sender", BOB).stdout
    assert "2 of 4 messages in the queue" in said
    assert "450 4.2.0 later" in said and "next attempt" in said


def test_queue_show_and_table(stuck):
    row = as_json(stuck, "queue", "list", "--recipient", "a@one.test")[0]
    shown = as_json(stuck, "queue", "show", row["queue_id"])
    assert sorted(p["recipients"][0].split(">")[0]
                  for p in shown["places"]) == ["<a@one.test", "<b@two.test"]
    said = stuck.cli("queue", "show", row["queue_id"]).stdout
    assert "Subject: parts" in said and "b@two.test" in said
    table = as_json(stuck, "queue", "table")
    assert sum(t["messages"] for t in table) == 4
    assert all(t["minutes"]["5"] == t["messages"] for t in table)
    assert "destination" in stuck.cli("queue", "table").stdout
    assert stuck.cli("queue", "show", "0" * 16, check=False).returncode == 67
    assert stuck.cli("queue", "show", "x", check=False).returncode == 65


def test_trace_has_every_attempt(stuck):
    row = as_json(stuck, "queue", "list", "--recipient", "c@one.test")[0]
    said = stuck.cli("trace", row["queue_id"]).stdout
    assert "accepted" in said and re.search(
        r"deferred +to=<c@one\.test>.*\n    via=.*\n", said)
    steps = as_json(stuck, "trace", row["queue_id"])
    last = [s for s in steps if s["event"] == "deferred"][-1]["fields"]
    assert last["to"] == "<c@one.test>"
    assert "450 4.2.0 later" in last["answer"]


def test_queue_changes(stuck):
    def states():
        return {m["recipients"][0].split(">")[0][1:]: m["state"]
                for m in as_json(stuck, "queue", "list")}

    def change(*words):
        return as_json(stuck, "queue", *words)["messages"]

    assert stuck.cli("queue", "delete", check=False).returncode == 64
    assert stuck.cli("queue", "delete", "--all", "0" * 16,
                     check=False).returncode == 64
    assert change("hold", "--sender", BOB) == 2
    assert change("hold", "--sender", BOB) == 0
    assert states() == {"a@one.test": "deferred", "b@two.test": "deferred",
                        "c@one.test": "held", "d@three.test": "held"}
    attempts = {m["queue_id"]: m["attempts"]
                for m in as_json(stuck, "queue", "list")}
    assert change("flush") >= 2
    eventually(lambda: all(
        m["attempts"] > attempts[m["queue_id"]]
        for m in as_json(stuck, "queue", "list", "--state", "deferred")))
    assert states()["c@one.test"] == "held"
    eventually(lambda: change("release", "--recipient", "c@one.test") == 1)
    eventually(lambda: states()["c@one.test"] == "deferred")
    # By id: every place it goes to.
    row = as_json(stuck, "queue", "list", "--recipient", "a@one.test")[0]
    eventually(lambda: "sending" not in states().values())
    assert change("delete", row["queue_id"]) == 2
    assert set(states()) == {"c@one.test", "d@three.test"}
    assert stuck.cli("queue", "delete", row["queue_id"],
                     check=False).returncode == 67
    assert "deleted" in stuck.cli("trace", row["queue_id"]).stdout
    before = held(stuck, BOB)
    assert change("return", "--recipient", "c@one.test") == 1
    eventually(lambda: held(stuck, BOB) == before + 1)
    assert change("delete", "--all") == 1
    assert as_json(stuck, "queue", "list") == []


def test_long_queues_come_in_pages(tmp_path):
    """More than an answer holds; to a peer that nobody is."""
    with Postrider(settings=route(1) + SETTINGS) as server:
        with smtplib.SMTP("127.0.0.1", server.port("submission")) as s:
            s.login(ANN, PASSWORD)
            for _ in range(3):
                s.sendmail(ANN, [f"x@d{i}.test" for i in range(900)],
                           message(ANN, "many@d.test"))
        rows = as_json(server, "queue", "list")
        places = {r for m in rows for r in m["recipients"]}
        assert sum(len(m["recipients"]) for m in rows) == 2700
        assert len({p.split(">")[0] for p in places}) == 900
        done = as_json(server, "queue", "hold", "--all")
        again = as_json(server, "queue", "hold", "--all")
        assert done["messages"] + again["messages"] == len(rows)
        assert as_json(server, "queue", "delete", "--all")["messages"] == \
            len(rows)
        assert as_json(server, "queue", "list") == []
