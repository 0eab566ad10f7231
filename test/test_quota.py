"""Quota: who is full is not sent to, is told in time, and what is counted is
what is there, whatever happens to the store."""
import imaplib
import json
import os
import signal
import smtplib

import pytest

from harness import DOMAIN, PASSWORD, Postrider, eventually, has_field, message

ANN, BOB, CID = (f"{name}@{DOMAIN}" for name in ("ann", "bob", "cid"))
QUICK = """
auth.plaintext_on_loopback = yes
queue.retry_first = 1s
queue.retry_longest = 1s
resolver.servers = "127.0.0.1@1"
smtp.greet_delay = 0
"""
KILOBYTE = "x" * 62 + "\r\n"


def rcpt(server, recipient, size=None):
    with smtplib.SMTP("127.0.0.1", server.port("smtp")) as s:
        s.ehlo()
        s.mail("sue@far.test", [f"SIZE={size}"] if size else [])
        code, text = s.rcpt(recipient)
        return f"{code} {text.decode()}"


def deliver(server, recipient, subject="hello", kilobytes=0):
    with smtplib.SMTP("127.0.0.1", server.port("smtp")) as s:
        s.sendmail("sue@far.test", [recipient], message(
            "sue@far.test", recipient, subject,
            body="text\r\n" + KILOBYTE * 16 * kilobytes))


def imap(server, user):
    c = imaplib.IMAP4("127.0.0.1", server.port("imap"))
    c.login(user, PASSWORD)
    return c


def subjects(server, user):
    c = imap(server, user)
    try:
        c.select("INBOX")
        rows = c.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1]
        return [r[1].decode().strip().removeprefix("Subject: ")
                for r in rows if isinstance(r, tuple)]
    finally:
        c.logout()


def empty(server, user):
    c = imap(server, user)
    c.select("INBOX")
    c.store("1:*", "+FLAGS.SILENT", r"(\Deleted)")
    c.expunge()
    c.logout()


def quota(server, root):
    rows = json.loads(server.cli("quota", root, "--json").stdout)
    assert len(rows) == 1 and rows[0]["root"] == root
    return rows[0]


def fill(server, user, kilobytes):
    c = imap(server, user)
    text = message(user, user, "filler", KILOBYTE * 16 * kilobytes)
    assert c.append("INBOX", None, None, text.encode())[0] == "OK"
    c.logout()


def test_full_means_later():
    with Postrider(settings=QUICK + "quota { grace = 0; warn = \"\"; }"
                   ) as server:
        server.cli("quota", "set", ANN, "--storage", "20K")
        assert rcpt(server, ANN).startswith("250 ")
        assert rcpt(server, ANN, size=19000).startswith("250 ")
        assert rcpt(server, ANN, size=21000).startswith("452 4.2.2 ")
        assert rcpt(server, BOB, size=21000).startswith("250 ")
        fill(server, ANN, 19)
        deliver(server, ANN, "small")
        eventually(lambda: "small" in subjects(server, ANN))
        server.cli("quota", "set", ANN, "--storage", "10K")
        assert rcpt(server, ANN).startswith("452 4.2.2 ")
        assert has_field(server.log(), "quota.full")
        # Through an alias of several it is taken, and waits.
        server.cli("alias", "add", f"both@{DOMAIN}", ANN, BOB)
        deliver(server, f"both@{DOMAIN}", "waits")
        eventually(lambda: "waits" in subjects(server, BOB))
        rows = eventually(lambda: json.loads(
            server.cli("queue", "list", "--json").stdout))
        assert "4.2.2" in json.dumps(rows)
        assert "waits" not in subjects(server, ANN)
        empty(server, ANN)
        eventually(lambda: "waits" in subjects(server, ANN))
        # And nobody gets it twice.
        assert subjects(server, BOB).count("waits") == 1


def test_full_may_mean_no():
    with Postrider(settings=QUICK + "quota { grace = 0; full = refuse; }"
                   ) as server:
        server.cli("quota", "set", ANN, "--messages", "1")
        fill(server, ANN, 1)
        assert rcpt(server, ANN).startswith("552 5.2.2 ")
        server.cli("alias", "add", f"both@{DOMAIN}", ANN, BOB)
        # A sender of ours is told.
        with smtplib.SMTP("127.0.0.1", server.port("submission")) as s:
            s.login(BOB, PASSWORD)
            s.sendmail(BOB, [f"both@{DOMAIN}"],
                       message(BOB, f"both@{DOMAIN}", "for both"))
        c = imap(server, BOB)

        def bounced():
            c.select("INBOX")
            rows = c.search(None, "TEXT", '"5.2.2"')[1][0].split()
            return rows
        eventually(bounced)
        c.logout()


def test_grace_lets_the_last_one_in():
    with Postrider(settings=QUICK + "quota { storage = 10K; grace = 10K; }"
                   ) as server:
        fill(server, ANN, 9)
        deliver(server, ANN, "last", 5)
        eventually(lambda: "last" in subjects(server, ANN))
        assert rcpt(server, ANN).startswith("452 4.2.2 ")
        c = imap(server, ANN)
        status, text = c.append("INBOX", None, None, b"Subject: x\r\n\r\n")
        assert status == "NO" and b"OVERQUOTA" in text[0]
        c.logout()


def test_a_domain_is_full():
    settings = QUICK + "quota { grace = 0; domain_storage = 30K; }"
    with Postrider(accounts=("ann", "bob", "cid"),
                   settings=settings) as server:
        fill(server, ANN, 10)
        fill(server, BOB, 10)
        assert rcpt(server, CID, size=15000).startswith("452 4.2.2 ")
        assert rcpt(server, CID, size=5000).startswith("250 ")
        used = quota(server, DOMAIN)
        assert used["bytes"] == quota(server, ANN)["bytes"] + \
            quota(server, BOB)["bytes"]
        assert used["max_bytes"] == 30 * 1024
        server.restart()
        assert quota(server, DOMAIN) == used
        empty(server, ANN)
        assert rcpt(server, CID, size=15000).startswith("250 ")
        server.cli("account", "remove", BOB)
        assert quota(server, DOMAIN)["bytes"] == 0
        server.cli("quota", "set", DOMAIN, "--storage", "none")
        assert quota(server, DOMAIN)["max_bytes"] is None
        server.cli("quota", "set", DOMAIN, "--storage", "default")
        assert quota(server, DOMAIN)["max_bytes"] == 30 * 1024


def test_warnings_come_once_on_the_way_up():
    with Postrider(settings=QUICK + "quota { storage = 100K; }") as server:
        fill(server, ANN, 50)
        fill(server, ANN, 35)
        warning = "Your mailbox is 80 % full"
        eventually(lambda: warning in subjects(server, ANN))
        fill(server, ANN, 2)
        fill(server, ANN, 10)
        eventually(lambda: "Your mailbox is 95 % full" in
                   subjects(server, ANN))
        assert subjects(server, ANN).count(warning) == 1
        empty(server, ANN)
        fill(server, ANN, 85)
        eventually(lambda: warning in subjects(server, ANN))


def test_what_is_counted_is_what_is_there():
    """The store is killed while messages come and go, again and again."""
    with Postrider(settings=QUICK + "quota { storage = 10G; }") as server:
        for n in range(6):
            c = imap(server, ANN)
            c.select("INBOX")
            for i in range(10):
                c.append("INBOX", None, None, message(
                    ANN, ANN, f"{n} {i}", KILOBYTE * i).encode())
                if i == n:
                    os.kill(server.role_pids()["store"][0], signal.SIGKILL)
            c.noop()
            c.store(f"{n + 1}:{n + 4}", "+FLAGS.SILENT", r"(\Deleted)")
            c.copy("1:3", "Sent")
            if n % 2:
                eventually(lambda: server.role_pids().get("store"))
                os.kill(server.role_pids()["store"][0], signal.SIGKILL)
            c.expunge()
            c.logout()
        c = imap(server, ANN)
        there = {"messages": 0, "bytes": 0}
        for box in ("INBOX", "Sent", "Drafts", "Junk", "Trash", "Archive"):
            words = c.status(box, "(MESSAGES SIZE)")[1][0].decode().split()
            there["messages"] += int(words[words.index("(MESSAGES") + 1])
            there["bytes"] += int(words[words.index("SIZE") + 1].rstrip(")"))
        c.logout()
        assert there["messages"] > 20
        told = quota(server, ANN)
        assert {k: told[k] for k in there} == there
        server.restart()
        told = quota(server, ANN)
        assert {k: told[k] for k in there} == there
        assert "nothing" in server.cli("check").stdout or \
            json.loads(server.cli("check", "--json").stdout)["found"] == 0


def test_the_operator_says_what_clients_are_told():
    with Postrider(settings=QUICK) as server:
        server.cli("annotation", "set", "/shared/comment", "Hello there")
        server.cli("annotation", "set", "/shared/admin",
                   f"mailto:root@{DOMAIN}")
        rows = json.loads(server.cli("annotation", "list", "--json").stdout)
        assert {"entry": "/shared/comment", "value": "Hello there"} in rows
        c = imap(server, ANN)
        c.xatom("GETMETADATA", '""', "(/shared/comment /shared/admin)")
        told = c.response("METADATA")[1][0].decode()
        assert "Hello there" in told and "mailto:root" in told
        c.logout()
        server.cli("annotation", "set", "/shared/admin")
        rows = json.loads(server.cli("annotation", "list", "--json").stdout)
        assert len(rows) == 1
        assert server.cli("annotation", "set", "nonsense", "x",
                          check=False).returncode != 0


@pytest.mark.parametrize("arguments", [
    ("quota", f"nobody@{DOMAIN}"), ("quota", "other.test"),
    ("quota", "set", f"nobody@{DOMAIN}", "--storage", "1G"),
    ("quota", "set", ANN, "--storage", "much"),
    ("quota", "set", ANN, "--messages", "-1"), ("quota", "set"),
])
def test_what_the_operator_mistypes_is_said(arguments, stopped):
    done = stopped.cli(*arguments, check=False)
    assert done.returncode != 0 and done.stderr


@pytest.fixture(scope="module")
def stopped():
    with Postrider(settings=QUICK) as server:
        server.stop()
        yield server
