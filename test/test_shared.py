"""Mailboxes that several share: rights, who sees what of whom, who sends."""
import imaplib
import mailbox
import os
import shutil
import signal
import smtplib
import subprocess

import pytest
from harness import DOMAIN, PASSWORD, Postrider, eventually, message

ANN, BOB, EVE = (f"{name}@{DOMAIN}" for name in ("ann", "bob", "eve"))
INFO = f"info@{DOMAIN}"
BOX = f'"Other Users/{ANN}/Box"'


@pytest.fixture(scope="module")
def server():
    with Postrider() as p:
        p.add_account(EVE)
        yield p


def imap(server, user):
    c = imaplib.IMAP4_SSL("127.0.0.1", server.port("imaps"),
                          ssl_context=server.tls_context())
    c.login(user, PASSWORD)
    return c


def ok(answer):
    assert answer[0] == "OK", answer
    return answer[1]


def flags_of(c, number=1):
    return set(imaplib.ParseFlags(ok(c.fetch(str(number), "(FLAGS)"))[0]))


def idle(c):
    """In IDLE; what comes is read line by line with c.readline()."""
    c.send(b"i IDLE\r\n")
    assert c.readline().startswith(b"+")


def until(c, start):
    while True:
        line = c.readline()
        assert line, f"closed before {start!r}"
        if line.startswith(start):
            return line


def append(c, box="Box"):
    ok(c.append(box, "", None, message("x@y.example", ANN).encode()))


@pytest.fixture
def box(server):
    """Ann's Box with a message, which bob may use and eve may read."""
    ann = imap(server, ANN)
    ann.delete("Box")
    ok(ann.create("Box"))
    append(ann)
    ok(ann.setacl("Box", BOB, "lrswite"))
    ok(ann.setacl("Box", EVE, "lrs"))
    yield ann
    ann.logout()


def test_two_users_see_each_others_changes(server, box):
    bob = imap(server, BOB)
    ok(bob.select(BOX))
    idle(bob)
    append(box)
    until(bob, b"* 2 EXISTS")
    ok(box.select("Box"))
    ok(box.store("1", "+FLAGS", r"(\Flagged)"))
    assert b"\\Flagged" in until(bob, b"* 1 FETCH")
    bob.send(b"DONE\r\n")
    until(bob, b"i OK")
    idle(box)
    ok(bob.store("1", "+FLAGS", r"(\Deleted)"))
    assert b"\\Deleted" in until(box, b"* 1 FETCH")
    ok(bob.expunge())
    until(box, b"* 1 EXPUNGE")
    box.send(b"DONE\r\n")
    until(box, b"i OK")
    bob.logout()


def test_everybody_has_seen_what_they_have_seen(server, box):
    bob, eve = imap(server, BOB), imap(server, EVE)
    ok(box.select("Box"))
    ok(bob.select(BOX))
    ok(eve.select(BOX))
    ok(bob.store("1", "+FLAGS", r"(\Seen)"))
    ok(eve.noop())
    ok(box.noop())
    assert b"\\Seen" in flags_of(bob)
    assert b"\\Seen" not in flags_of(eve)
    assert b"\\Seen" not in flags_of(box)
    ok(eve.fetch("1", "(BODY[])"))
    assert b"\\Seen" in flags_of(eve)
    assert b"\\Seen" not in flags_of(box)
    bob.logout()
    eve.logout()
    before = server.role_pids()["store"]
    os.kill(before[0], signal.SIGKILL)
    eventually(lambda: server.role_pids().get("store", before) != before)
    bob = imap(server, BOB)
    ok(bob.select(BOX))
    assert b"\\Seen" in flags_of(bob)
    assert b"\\Seen" not in flags_of(box)
    bob.logout()


def test_who_loses_the_right_to_read_is_told_in_idle(server, box):
    bob = imap(server, BOB)
    ok(bob.select(BOX))
    idle(bob)
    ok(box.deleteacl("Box", BOB))
    until(bob, b"* BYE")
    bob.shutdown()


def submit(server, user, sender, header_from, to):
    with smtplib.SMTP_SSL("127.0.0.1", server.port("submissions"),
                          context=server.tls_context()) as s:
        s.login(user, PASSWORD)
        return s.sendmail(sender, to, message(header_from, to, "as another"))


def test_mail_in_the_name_of_another(server):
    ann = imap(server, ANN)
    with pytest.raises(smtplib.SMTPSenderRefused):
        submit(server, BOB, ANN, ANN, EVE)
    ok(ann.setacl("INBOX", BOB, "p"))
    submit(server, BOB, ANN, ANN, EVE)
    with pytest.raises(smtplib.SMTPSenderRefused):
        submit(server, EVE, ANN, ANN, BOB)
    ok(ann.deleteacl("INBOX", BOB))
    with pytest.raises(smtplib.SMTPException):
        submit(server, BOB, BOB, ANN, EVE)
    ann.logout()


def test_a_shared_account(server):
    server.cli("shared", "add", INFO)
    assert INFO in server.cli("shared", "list").stdout
    assert INFO not in server.cli("account", "list").stdout
    server.cli("acl", "set", INFO, "INBOX", BOB, "lrswip")
    server.cli("acl", "set", INFO, "INBOX", BOB, "+t")
    shown = server.cli("acl", INFO, "INBOX").stdout
    assert any(line.split() == ["INBOX", BOB, "lrswipt"]
               for line in shown.splitlines())
    bob = imap(server, BOB)
    box = f'"Shared/{INFO}/INBOX"'
    ok(bob.select(box))
    with smtplib.SMTP("127.0.0.1", server.port("smtp")) as s:
        s.sendmail("x@outside.example", INFO,
                   message("x@outside.example", INFO, "for all"))
    eventually(lambda: ok(bob.select(box))[0] == b"1")
    submit(server, BOB, INFO, INFO, EVE)
    # Nobody knows its password, and the empty one is none.
    with pytest.raises(imaplib.IMAP4.error):
        imap(server, INFO)
    server.cli("acl", "remove", INFO, "INBOX", "anyone")
    with smtplib.SMTP("127.0.0.1", server.port("smtp")) as s:
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            s.sendmail("x@outside.example", INFO, "Subject: no\r\n\r\n")
    server.cli("shared", "remove", INFO)
    assert server.cli("shared", "remove", ANN, check=False).returncode != 0
    assert bob.select(box)[0] == "NO"
    bob.logout()


def test_rights_are_in_a_backup(server, box, tmp_path):
    server.cli("backup", str(tmp_path / "copy"))
    with Postrider(()) as other:
        other.stop()
        shutil.rmtree(other.data)
        other.cli("restore", str(tmp_path / "copy"))
        other.start()
        bob = imap(other, BOB)
        assert b"lrswite" in ok(bob.myrights(BOX))[0]
        bob.logout()


def mbsync(server, user, folder, home):
    """The maildir of one mailbox, in step with the server."""
    os.makedirs(home / "near", exist_ok=True)
    (home / "rc").write_text(f"""
IMAPStore far
Host 127.0.0.1
Port {server.port("imaps")}
User {user}
Pass "{PASSWORD}"
SSLType IMAPS
CertificateFile {server.certificate()}
AuthMechs PLAIN

MaildirStore near
Path {home}/near/
Inbox {home}/near/INBOX

Channel box
Far ":far:{folder}"
Near :near:box
Create Near
Expunge Both
SyncState *
""")
    done = subprocess.run(["mbsync", "-c", str(home / "rc"), "box"],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return mailbox.Maildir(str(home / "near" / "box"), factory=None)


def test_isync_of_a_shared_mailbox(server, box, tmp_path):
    append(box)
    append(box)
    there = mbsync(server, BOB, f"Other Users/{ANN}/Box", tmp_path)
    keys = sorted(there.keys())
    assert len(keys) == 3
    for key, flags in zip(keys, ("S", "F", "T")):
        m = there[key]
        m.set_flags(flags)
        there[key] = m
    mbsync(server, BOB, f"Other Users/{ANN}/Box", tmp_path)
    ok(box.select("Box"))
    flags = [set(imaplib.ParseFlags(line)) - {b"\\Recent"}
             for line in ok(box.fetch("1:*", "(FLAGS)"))]
    # One is gone, one flagged for all, one seen by bob alone.
    assert sorted(map(len, flags)) == [0, 1]
    assert {b"\\Flagged"} in flags
