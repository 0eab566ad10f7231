"""NOTIFY over a death of the store, and with many who listen."""
import os
import re
import signal
import socket

from harness import DOMAIN, PASSWORD, Postrider, eventually

ANN = f"ann@{DOMAIN}"


class Client:
    """A connection that reads lines as they come."""

    def __init__(self, server):
        raw = socket.create_connection(("127.0.0.1", server.port("imaps")), 20)
        self.socket = server.tls_context().wrap_socket(raw)
        self.socket.settimeout(20)
        self.file = self.socket.makefile("rb")
        self.line()
        self.do(f'LOGIN {ANN} "{PASSWORD}"')

    def line(self):
        line = self.file.readline()
        assert line, "closed"
        return line.decode().rstrip("\r\n")

    def send(self, text):
        self.socket.sendall(text.encode() + b"\r\n")

    def do(self, command):
        """All lines up to the tagged one, which must be OK."""
        self.send("t " + command)
        lines = [self.line()]
        while not lines[-1].startswith("t "):
            lines.append(self.line())
        assert lines[-1].startswith("t OK"), lines[-1]
        return lines[:-1]

    def until(self, pattern):
        """Lines that come by themselves, up to this one."""
        seen = []
        while not seen or not re.fullmatch(pattern, seen[-1]):
            seen.append(self.line())
        return seen

    def append(self, mailbox):
        self.do(f"APPEND {mailbox} {{11+}}\r\n0123456\r\n\r\n")

    def close(self):
        self.socket.close()


def test_what_happens_is_told_after_the_store_died():
    with Postrider() as server:
        told, does = Client(server), Client(server)
        told.do("NOTIFY SET (selected (MessageNew MessageExpunge FlagChange))"
                " (personal (MessageNew MessageExpunge FlagChange"
                " MailboxName SubscriptionChange))")
        told.do("SELECT INBOX")
        for n in range(3):
            old = server.role_pids()["store"][0]
            os.kill(old, signal.SIGKILL)
            eventually(lambda: server.role_pids().get("store", [old])
                       != [old])
            does.do(f"CREATE Box{n}")
            told.until(rf'\* LIST .* Box{n}')
            does.append(f"Box{n}")
            told.until(rf'\* STATUS Box{n} \(MESSAGES 1 .*')
            does.append("INBOX")
            told.until(rf'\* {n + 1} EXISTS')
        # Not one of them is told twice when all is calm again.
        assert [x for x in told.do("NOOP") if "RECENT" not in x] == []
        told.close()
        does.close()


def test_what_nobody_can_name_any_more_is_an_overflow():
    with Postrider() as server:
        told, does = Client(server), Client(server)
        told.do("NOTIFY SET (personal (MailboxMetadataChange))")
        os.kill(server.role_pids()["store"][0], signal.SIGKILL)
        told.until(r"\* OK \[NOTIFICATIONOVERFLOW\] .*")
        does.do('SETMETADATA INBOX (/private/x "1")')
        assert told.do("NOOP") == []
        told.do("NOTIFY SET (personal (MailboxMetadataChange))")
        does.do('SETMETADATA INBOX (/private/x "2")')
        told.until(r"\* METADATA INBOX /private/x")
        told.close()
        does.close()


def test_many_listen_and_each_hears():
    settings = "imap.max_sessions_per_account = 1000\n"
    with Postrider(settings=settings) as server:
        many = [Client(server) for _ in range(60)]
        for client in many:
            client.do("NOTIFY SET (personal (MessageNew MessageExpunge"
                      " MailboxName))")
        does = Client(server)
        does.do("CREATE News")
        for client in many:
            client.until(r"\* LIST .* News")
        for n in range(5):
            does.append("News")
        for client in many:
            client.until(r"\* STATUS News \(MESSAGES 5 .*")
        # Those that are gone are forgotten, and cost the others nothing.
        for client in many[:30]:
            client.close()
        does.append("News")
        for client in many[30:]:
            client.until(r"\* STATUS News \(MESSAGES 6 .*")
            client.close()
        does.do("NOOP")
        does.close()
