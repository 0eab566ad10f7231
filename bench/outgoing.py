"""Mail going out: Postrider beside Postfix, to smtp-sink.

In a network of its own (a loopback and nothing else) with a real nameserver:
every domain's MX leads to one sink, or to an address where nobody listens, or
to one where a listener never answers. The queue is filled while nothing can
leave; then the sink is started, the queue flushed, and the time taken until
the sink has everything that is not for a dead destination.
"""
import base64
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TOP, "test"))
from internet import Dns                                # noqa: E402
from peers import NAMESERVER, Postfix, isolate          # noqa: E402
from systems import DOMAIN, PASSWORD, pss, run           # noqa: E402

SINK, REFUSES, STALLS = "127.0.0.2", "127.0.0.3", "127.0.0.4"
PEER, OURS = "127.0.2.1", "127.0.1.1"
LIVE, DEAD, LOADERS = 900, 100, 16
WAIT = 600                      # seconds, for anything


def message(size):
    line = "x" * 70 + "\r\n"
    return (f"From: <x00@{DOMAIN}>\r\nTo: <someone@example.net>\r\n"
            "Subject: a message\r\nDate: Sat, 21 Nov 2026 12:00:00 +0000\r\n"
            "Message-ID: <one@example.test>\r\n\r\n" +
            line * ((size - 180) // len(line))).encode()


class Loader:
    """Hands messages over, each connection one after the other."""

    def __init__(self, address, port, login):
        self.address, self.port, self.login = address, port, login

    def connect(self):
        s = socket.create_connection((self.address, self.port), 60)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        f = s.makefile("rb")
        self.answer(f)
        self.say(s, f, b"EHLO bench.test\r\n")
        if self.login:
            self.say(s, f, b"AUTH PLAIN " + base64.b64encode(
                f"\0x00@{DOMAIN}\0{PASSWORD}".encode()) + b"\r\n")
        return s, f

    @staticmethod
    def answer(f):
        while True:
            line = f.readline()
            if line[:1] not in (b"2", b"3"):
                raise SystemExit(f"bench: not taken: {line!r}")
            if line[3:4] == b" ":
                return

    def say(self, s, f, line):
        s.sendall(line)
        self.answer(f)

    def session(self, domains, text):
        s, f = self.connect()
        for domain in domains:
            s.sendall(f"MAIL FROM:<x00@{DOMAIN}>\r\n"
                      f"RCPT TO:<someone@{domain}>\r\nDATA\r\n".encode())
            for _ in range(3):
                self.answer(f)
            s.sendall(text + b".\r\n")
            self.answer(f)
        self.say(s, f, b"QUIT\r\n")

    def fill(self, domains, size):
        text = message(size)
        threads = [threading.Thread(target=self.session,
                                    args=(domains[i::LOADERS], text))
                   for i in range(LOADERS)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()


class Sink:
    """Postfix's smtp-sink, which counts on its standard output."""

    def __init__(self):
        self.process = subprocess.Popen(
            ["smtp-sink", "-c", "-m", "5000", "-u", "nobody", f"{SINK}:25",
             "2000"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL)
        wait_for(lambda: self.answers())
        self.seen = b""

    @staticmethod
    def answers():
        with contextlib.suppress(OSError):
            socket.create_connection((SINK, 25), 1).close()
            return True

    def wait(self, count):
        """Until that many messages have come: how many there are."""
        end, have = time.monotonic() + WAIT, 0
        while have < count and time.monotonic() < end:
            self.seen = self.seen[-200:] + os.read(
                self.process.stdout.fileno(), 65536)
            found = re.findall(rb"mesg=(\d+)", self.seen)
            have = int(found[-1]) if found else have
        if have < count:
            raise SystemExit(f"bench: {have} of {count} messages came")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        self.process.stdout.close()


def wait_for(what, seconds=60):
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            raise SystemExit("bench: it does not start")
        time.sleep(0.02)


class OurSide:
    name = "Postrider"

    def __init__(self, program, directory, trust_anchor):
        self.program, self.dir = os.path.abspath(program), directory
        self.data, self.process = f"{directory}/data", None
        run(self.program, "init", DOMAIN, "--data", self.data)
        run(self.program, "account", "add", f"x00@{DOMAIN}", "--data",
            self.data, "--password-stdin", input=PASSWORD + "\n")
        self.config = f"{directory}/postrider.conf"
        with open(self.config, "w") as f:
            f.write(OURS_CONFIG.format(ours=OURS, anchor=trust_anchor))
        self.loader = Loader(OURS, 587, True)

    def start(self):
        log = open(f"{self.dir}/log", "a")
        self.process = subprocess.Popen(
            [self.program, "run", "--data", self.data, "--config",
             self.config], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()
        wait_for(lambda: self.greets())

    @staticmethod
    def greets():
        with contextlib.suppress(OSError):
            with socket.create_connection((OURS, 587), 1) as s:
                return s.recv(3) == b"220"

    def flush(self):
        run(self.program, "queue", "flush", "--data", self.data, timeout=WAIT)

    def clear(self):
        run(self.program, "queue", "delete", "--all", "--data", self.data,
            timeout=WAIT)

    def stop(self):
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)
            self.process = None


# Both sides send without TLS and without signatures: what is compared is the
# queue and the dialogue.
OURS_CONFIG = """\
listen {{ smtp = "{ours}:25"; submission = "{ours}:587"; submissions = "";
    imap = ""; imaps = ""; pop3 = ""; pop3s = "" }}
auth {{ plaintext_on_loopback = yes }}
resolver {{ servers = system; trust_anchor = "{anchor}" }}
relay {{ local_addresses = yes; connect_timeout = 30s }}
limit {{ messages_per_day = 0; recipients_per_day = 0 }}
dkim {{ sign = no }}
"""


class TheirSide:
    name = "Postfix"

    def __init__(self):
        self.peer = Postfix(PEER, "postfix.test", THEIRS_CONFIG)
        self.loader = Loader(PEER, 25, False)

    def postfix(self, *command):
        done = subprocess.run(command, preexec_fn=self.peer.enter,
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"bench: {command}: {done.stderr}")

    def start(self):
        self.defer("smtp")
        self.peer.start()

    def defer(self, transports):
        self.postfix("postconf", "-c", "/etc/postfix", "-e",
                     f"defer_transports={transports}")

    def flush(self):
        self.defer("")
        self.postfix("postfix", "-c", "/etc/postfix", "reload")
        self.postfix("postqueue", "-c", "/etc/postfix", "-f")

    def clear(self):
        self.postfix("postsuper", "-c", "/etc/postfix", "-d", "ALL")
        self.defer("smtp")
        self.postfix("postfix", "-c", "/etc/postfix", "reload")

    def stop(self):
        self.peer.__exit__(None)


THEIRS_CONFIG = """\
smtp_tls_security_level = none
minimal_backoff_time = 300s
maximal_backoff_time = 4000s
queue_run_delay = 300s
smtpd_client_connection_count_limit = 0
"""


def zones():
    """net.: live0.net ... to the sink; dead0.net ... where nobody answers."""
    lines = ["@ MX 10 sink", f"sink A {SINK}", f"refuses A {REFUSES}",
             f"stalls A {STALLS}"]
    lines += [f"live{i} MX 10 sink" for i in range(LIVE)]
    lines += [f"dead{i} MX 10 {('refuses', 'stalls')[i % 2]}"
              for i in range(DEAD)]
    return {"example.net": "\n".join(lines) + "\n",
            "test": "".join(f"d{i} MX 10 sink.example.net.\n"
                            for i in range(1000))}


@contextlib.contextmanager
def stalling():
    """An address whose connections are never accepted, and soon not even
    begun: its backlog is full."""
    with contextlib.ExitStack() as held:
        s = held.enter_context(socket.socket())
        s.bind((STALLS, 25))
        s.listen(0)
        for _ in range(3):
            c = held.enter_context(socket.socket())
            c.setblocking(False)
            c.connect_ex((STALLS, 25))
        yield


def measure(side, domains, live):
    """Messages a second, of those that can arrive."""
    side.loader.fill(domains, 4096)
    sink = Sink()
    try:
        begin = time.monotonic()
        side.flush()
        sink.wait(live)
        return live / (time.monotonic() - begin)
    finally:
        sink.stop()
        side.clear()


def rows(side, scale, note):
    count = max(900, int(18000 * scale) // 900 * 900)
    live = [f"live{i % LIVE}.example.net" for i in range(count)]
    mixed = [d for pair in zip(
        live, [f"dead{i % DEAD}.example.net" for i in range(count)])
        for d in pair]
    # One in ten is for a dead destination.
    mixed = [d for i, d in enumerate(mixed) if i % 2 == 0 or i % 18 == 1]
    side.start()
    try:
        note("sent: 4 KiB, 1 destination",
             measure(side, ["example.net"] * count, count))
        good = measure(side, live, count)
        note("sent: 4 KiB, 900 destinations", good)
        bad = measure(side, mixed, count)
        note("sent: 4 KiB, 900 of 1000 destinations, the others dead", bad)
    finally:
        side.stop()


def settled(pid):
    """KiB of all processes, once they have not changed for a second."""
    last, still = pss([pid]), 0
    for _ in range(120):
        time.sleep(0.25)
        value = pss([pid])
        still = still + 1 if abs(value - last) < 200 else 0
        last = value
        if still == 4:
            break
    return last


def big_queue(program, directory, anchor, scale, note):
    """A million messages wait, and a few are due: what do they cost?"""
    count = int(1000000 * scale)
    side = OurSide(program, directory, anchor)
    side.start()
    empty = settled(side.process.pid)
    side.stop()
    filler = os.path.join(os.path.dirname(os.path.dirname(side.program)),
                          "bench", "bench_queue")
    run(filler, f"{side.data}/store/engine", "fill", str(count), timeout=WAIT)
    side.start()
    note("bytes of memory a queued message that is not due",
         (settled(side.process.pid) - empty) * 1024 / count)
    side.stop()
    run(filler, f"{side.data}/store/engine", "due", "1000", timeout=WAIT)
    sink = Sink()
    try:
        begin = time.monotonic()
        side.start()
        sink.wait(1)
        note("start with those to the first delivery, ms",
             1000 * (time.monotonic() - begin))
    finally:
        side.stop()
        sink.stop()


def outgoing(program, directory, scale, only, note):
    """note(side's name, row, value) for each row."""
    os.environ["TMPDIR"] = directory
    with isolate(), Dns(zones(), address=NAMESERVER, port=53) as dns, \
            stalling():
        if only in (None, "postrider"):
            ours = OurSide(program, directory, dns.trust_anchor)
            rows(ours, scale, lambda *a: note("postrider", *a))
            os.makedirs(f"{directory}/big")
            big_queue(program, f"{directory}/big", dns.trust_anchor, scale,
                      lambda *a: note("postrider", *a))
        if only in (None, "peers"):
            rows(TheirSide(), scale, lambda *a: note("peers", *a))
