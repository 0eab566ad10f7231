"""The search index: built in the background, found with, cleaned, rebuilt.

Answers are compared with what the messages hold, whether or not the index
has them yet; that it was asked is seen in its events. The role that makes it
is killed at random moments.
"""
import imaplib
import json
import os
import random
import re
import signal

from harness import DOMAIN, PASSWORD, Postrider, eventually

DEBUG = "log { level = debug }\n"
WORDS = ("apple banana cherry damson elder fig grape hazel iris juniper "
         "kiwi lemon mango nutmeg olive").split()


def client(server, user="ann", mailbox="INBOX"):
    c = imaplib.IMAP4_SSL("127.0.0.1", server.port("imaps"),
                          ssl_context=server.tls_context())
    c.login(f"{user}@{DOMAIN}", PASSWORD)
    if mailbox:
        assert c.select(mailbox)[0] == "OK"
    return c


class Mail:
    """Messages with words of their own, and what must be found of them."""

    def __init__(self, seed=1):
        self.random = random.Random(seed)
        self.texts = {}                 # uid -> (subject, body)

    def add(self, c, count=1):
        for _ in range(count):
            subject = " ".join(self.random.sample(WORDS, 2))
            body = " ".join(self.random.choices(WORDS, k=12))
            text = (f"From: x@y.test\r\nSubject: {subject}\r\n\r\n{body}"
                    "\r\n").encode()
            done = c.append("INBOX", None, None, text)
            uid = int(re.search(rb"APPENDUID \d+ (\d+)", done[1][0])[1])
            self.texts[uid] = (subject, body)

    def check(self, c):
        c.noop()
        for word in self.random.sample(WORDS, 3) + ["err", "nothing"]:
            for key, where in (("SUBJECT", (0,)), ("BODY", (1,)),
                               ("TEXT", (0, 1))):
                want = {uid for uid, texts in self.texts.items()
                        if any(word in texts[i] for i in where)}
                answer = c.uid("SEARCH", key, word)[1][0] or b""
                assert {int(n) for n in answer.split()} == want, (key, word)


def status(server):
    return json.loads(server.cli("index", "status", "--json").stdout)


def indexed(server, count):
    eventually(lambda: status(server)["indexed"] == count and
               status(server)["messages"] == count, 30)


def searches(server):
    return server.log().count("event=index.searched")


def role(server, name):
    for pid in server.pids():
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            if f"--role\0{name}\0".encode() in f.read():
                return pid
    return None


def test_found_with_the_index():
    with Postrider(settings=DEBUG) as server:
        c, mail = client(server), Mail()
        mail.add(c, 40)
        indexed(server, 40)
        before = searches(server)
        mail.check(c)
        assert searches(server) > before
        # What came since is found too, before it is indexed.
        mail.add(c, 3)
        mail.check(c)
        indexed(server, 43)
        mail.check(c)
        assert status(server)["bytes"] > 0
        # Nobody else's mail is found.
        other = client(server, "bob")
        assert other.search(None, "TEXT", "apple")[1] == [b""]


def test_fuzzy_words():
    with Postrider(settings=DEBUG) as server:
        c = client(server)
        for text in (b"Subject: travel\r\n\r\nWe were reporting on it.\r\n",
                     b"Subject: the reports\r\n\r\nSee below.\r\n",
                     b"Subject: lunch\r\n\r\nNothing of that.\r\n",
                     b"Subject: HTML\r\nContent-Type: text/html; charset=utf-8"
                     b"\r\n\r\n<p>sch&ouml;<b>n</b>e M&auml;rchen</p>\r\n"):
            c.append("INBOX", None, None, text)
        indexed(server, 4)
        c.noop()
        assert c.search(None, "FUZZY", "TEXT", "report")[1] == [b"1 2"]
        assert c.search(None, "TEXT", "reported")[1] == [b""]
        c.literal = "m\u00e4rchen".encode()
        assert c.search("UTF-8", "FUZZY", "BODY")[1] == [b"4"]


def test_killed_while_it_works():
    with Postrider(settings=DEBUG) as server:
        c, mail = client(server), Mail(2)
        chance = random.Random(3)
        for _ in range(6):
            mail.add(c, 30)
            pid = role(server, "index")
            # At a random moment of its work: after some of the messages.
            seen = server.log().count("event=index.message")
            count = chance.randrange(1, 25)
            eventually(lambda: server.log().count("event=index.message") >=
                       min(seen + count, len(mail.texts)))
            os.kill(pid, signal.SIGKILL)
            mail.check(c)
            eventually(lambda: role(server, "index") not in (None, pid))
        indexed(server, len(mail.texts))
        mail.check(c)


def test_the_store_is_killed():
    with Postrider(settings=DEBUG) as server:
        c, mail = client(server), Mail(4)
        mail.add(c, 30)
        pid = role(server, "store")
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: role(server, "store") not in (None, pid))
        mail.add(c, 10)
        indexed(server, 40)
        mail.check(c)


def test_expunged_words_leave_the_index():
    with Postrider(settings=DEBUG + "index { clean_after = 0 }\n") as server:
        c, mail = client(server), Mail(5)
        mail.add(c, 10)
        c.append("INBOX", None, None,
                 b"Subject: x\r\n\r\nUnmistakable words.\r\n")
        indexed(server, 11)
        size = status(server)["bytes"]
        c.noop()
        c.store("11", "+FLAGS", "\\Deleted")
        c.expunge()
        assert c.search(None, "TEXT", "unmistakable")[1] == [b""]
        # Made anew without them.
        eventually(lambda: status(server)["bytes"] < size)
        mail.check(c)
        c.store("1:*", "+FLAGS", "\\Deleted")
        c.expunge()
        eventually(lambda: status(server)["segments"] == 0)


def test_gone_with_the_mailbox():
    with Postrider(settings=DEBUG) as server:
        c = client(server)
        c.create("box")
        c.append("box", None, None, b"Subject: x\r\n\r\nwords\r\n")
        indexed(server, 1)
        c.delete("box")
        eventually(lambda: status(server)["segments"] == 0)


def test_rebuilt():
    with Postrider(settings=DEBUG) as server:
        c, mail = client(server), Mail(6)
        mail.add(c, 20)
        indexed(server, 20)
        for words in ((), (f"ann@{DOMAIN}",), (f"ann@{DOMAIN}", "INBOX")):
            saved = server.log().count("event=index.saved")
            server.cli("index", "rebuild", *words)
            mail.check(c)
            eventually(
                lambda: server.log().count("event=index.saved") > saved)
            indexed(server, 20)
            mail.check(c)
        assert server.cli("index", "rebuild", f"nobody@{DOMAIN}",
                          check=False).returncode != 0
        assert "20 of 20 messages" in server.cli("index", "status").stdout


def test_a_restart_knows_what_is_indexed():
    with Postrider(settings=DEBUG) as server:
        c, mail = client(server), Mail(7)
        mail.add(c, 20)
        indexed(server, 20)
        eventually(lambda: status(server)["waiting"] == 0)
        built = server.log().count("event=index.message")
        server.restart()
        c = client(server)
        mail.check(c)
        mail.add(c, 1)
        indexed(server, 21)
        assert server.log().count("event=index.message") == built + 1
        server.cli("check")


def test_without_it():
    with Postrider(settings=DEBUG + "index { enabled = no }\n") as server:
        c, mail = client(server), Mail(8)
        mail.add(c, 20)
        mail.check(c)
        assert status(server)["indexed"] == 0


def test_large_and_broken_mail():
    with Postrider(settings=DEBUG + "index { max_message = 1M }\n") as server:
        c = client(server)
        c.append("INBOX", None, None, b"Subject: big\r\n\r\n" +
                 b"word " * 250000 + b"\r\nlastly\r\n")
        c.append("INBOX", None, None, b"\xff\x01 no header at all \xfe lastly")
        c.append("INBOX", None, None, b"Content-Type: multipart/mixed; "
                 b"boundary=a\r\n\r\n" + b"--a\r\n" * 5000 + b"lastly")
        c.append("INBOX", None, None, b"Subject: x\r\n\r\n" + b"z" * 100000 +
                 b"lastly" + b"z" * 100000)
        indexed(server, 4)
        c.noop()
        assert c.search(None, "TEXT", "lastly")[1] == [b"1 2 3 4"]
        assert c.search(None, "BODY", "lastly")[1] == [b"1 3 4"]
        assert c.search(None, "BODY", "zzlastlyz")[1] == [b"4"]
        assert c.search(None, "BODY", "z" * 50 + "lastly")[1] == [b"4"]
