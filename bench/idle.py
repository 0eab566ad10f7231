"""A hundred thousand sessions in IDLE under TLS, and new mail for them.

Several processes of bench/idle.c hold them, from an address each, because a
process has no more descriptors than the system lets it; the server gets as
many access processes as that takes. All accounts have the same number of
sessions, and each has its sessions in one of the client's processes, but in
any of the server's. Then messages are sent by SMTP, one after the other, to
accounts at random: each is timed until the last of the account's sessions has
been told.

Of Postrider alone: Dovecot would need a process or two for each session.
"""
import contextlib
import os
import random
import resource
import socket
import subprocess
import time

from systems import DOMAIN, PASSWORD, Postrider

SESSIONS_OF_ONE = 50            # account
HOLDS = 15000                   # a process of the client, at most
AT_ONCE = 8     # logins, by all: the store turns away those beyond its workers
LIMIT = 2400                    # seconds, for everything
MESSAGES = 1000
MESSAGE = (f"From: <bench@{DOMAIN}>\r\nTo: <you@{DOMAIN}>\r\n"
           "Subject: a message\r\nDate: Sat, 21 Nov 2026 12:00:00 +0000\r\n"
           "\r\n" + 50 * ("x" * 76 + "\r\n") + ".\r\n").encode()

# All passwords are checked once: that is not what is measured.
CONFIG = """\
imap {{
    max_sessions_per_address = 1000000
    max_sessions_per_account = 1000
    idle_timeout = 2h
}}
auth {{ argon2_memory = 7M; argon2_passes = 1; cache_time = 2h }}
roles {{ access = {access} }}
"""


def user(number):
    return f"h{number:05}@{DOMAIN}"


def kernel_kib():
    """What the kernel has in slabs: sockets and files above all."""
    with open("/proc/meminfo") as f:
        return sum(int(line.split()[1]) for line in f
                   if line.startswith("Slab:"))


class Sender:
    """One SMTP connection, kept open."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")
        self.answer()
        self.say(b"EHLO bench.test\r\n")

    def answer(self):
        while True:
            line = self.file.readline()
            if line[:1] not in (b"2", b"3"):
                raise SystemExit(f"bench: not taken: {line!r}")
            if line[3:4] == b" ":
                return

    def say(self, line):
        self.socket.sendall(line)
        self.answer()

    def send(self, number):
        """When its end was sent, and when it was accepted, in ns."""
        self.say(f"MAIL FROM:<bench@{DOMAIN}>\r\n".encode())
        self.say(f"RCPT TO:<{user(number)}>\r\n".encode())
        self.say(b"DATA\r\n")
        begin = time.monotonic_ns()
        self.say(MESSAGE)
        return begin, time.monotonic_ns()


class Holder:
    """A process of the client, with the sessions of some accounts."""

    def __init__(self, program, port, number, first, accounts, each,
                 at_once):
        self.process = subprocess.Popen(
            [program, "-a", f"127.0.1.{1 + number}", "-f", str(first),
             "-k", str(accounts), "-n", str(accounts * each), "-w", PASSWORD,
             "-d", DOMAIN, "-c", str(at_once), "-t", str(LIMIT), str(port)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def line(self, expected):
        words = self.process.stdout.readline().split()
        if words[:1] != [expected]:
            raise SystemExit("bench: not all sessions are held")
        return [int(w) for w in words[1:]]

    def stop(self):
        self.process.stdin.close()
        self.process.wait(60)


class IdleBench:
    def __init__(self, system, client, sessions, note):
        self.system, self.client, self.note = system, client, note
        self.each = min(SESSIONS_OF_ONE, sessions)
        self.accounts = sessions // self.each
        self.sessions = self.accounts * self.each
        self.share = max(1, HOLDS // self.each)     # accounts of a holder

    def hold(self):
        """All holders, once they hold what they are to hold."""
        firsts = range(0, self.accounts, self.share)
        at_once = max(1, AT_ONCE // len(firsts))
        holders = []
        for i, first in enumerate(firsts):
            count = min(self.share, self.accounts - first)
            holders.append(Holder(self.client, self.system.imaps, i, first,
                                  count, self.each, at_once))
            self.opened.callback(holders[-1].stop)
        for holder in holders:
            holder.line("held")
        return holders

    def settled(self):
        """The roles' memory, once it has not changed for a second."""
        last, still = {}, 0
        for _ in range(60):
            time.sleep(0.5)
            now = self.system.memory()
            still = still + 1 if all(abs(now[r] - last.get(r, 0)) < 500
                                     for r in now) else 0
            last = now
            if still == 2:
                break
        return last

    def memory(self, before, kernel):
        after = self.settled()
        for role in ("access", "store", "signer"):
            self.note(f"KiB a session, {role}",
                      (after[role] - before[role]) / self.sessions)
        self.note("KiB a session, the kernel, both ends",
                  (kernel_kib() - kernel) / self.sessions)

    def mail(self, holders):
        sender, at_random = Sender(self.system.smtp), random.Random(1)
        sent, accepted = [], []
        for _ in range(MESSAGES):
            number = at_random.randrange(self.accounts)
            begin, end = sender.send(number)
            who, *times = holders[number // self.share].line("heard")
            if who != number:
                raise SystemExit(f"bench: {who} heard of {number}'s mail")
            sent += [(t - begin) / 1e6 for t in times]
            accepted += [(t - end) / 1e6 for t in times]
        for times, since in ((sent, "the end of DATA"), (accepted, "the 250")):
            times.sort()
            for share, name in ((0.5, "median"), (0.99, "99 in 100"),
                                (1, "the last of all")):
                at = min(len(times) - 1, int(len(times) * share))
                self.note(f"new mail told, from {since}, {name}, ms",
                          times[at])

    def everything(self):
        with contextlib.ExitStack() as self.opened:
            self.system.start()
            self.opened.callback(self.system.stop)
            self.system.wait_ready()
            self.system.add(user(n) for n in range(self.accounts))
            before, kernel = self.settled(), kernel_kib()
            begin = time.monotonic()
            holders = self.hold()
            seconds = time.monotonic() - begin
            self.note("sessions in IDLE under TLS", self.sessions)
            self.note("connection, LOGIN, SELECT, IDLE",
                      self.sessions / seconds)
            self.memory(before, kernel)
            self.mail(holders)


def many_idle(program, directory, certificate, sessions, note):
    """What was measured: Postrider's version."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    access = max(os.cpu_count(), -(-sessions * 5 // (files * 4)))
    os.makedirs(directory)
    system = Postrider(program, directory, certificate,
                       CONFIG.format(access=access))
    client = os.path.join(os.path.dirname(os.path.dirname(system.program)),
                          "bench", "idle")
    IdleBench(system, client, sessions, note).everything()
    return system.version()
