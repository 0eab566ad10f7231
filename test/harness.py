"""A whole Postrider for one test: its own data, ports, log; ended by its pid."""
import base64
import contextlib
import os
import random
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time

POSTRIDER = os.environ.get("POSTRIDER") or os.path.join(
    os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
    "build", "src", "postrider")
PASSWORD = "correct horse battery"
DOMAIN = "example.test"
PORTS = {"smtp": 25, "submission": 587, "submissions": 465, "imap": 143,
         "imaps": 993, "pop3": 110, "pop3s": 995, "metrics": 9225,
         "lmtp": 24}   # nobody listens there but by `listen { lmtp = "*:24"; }`

# What no log may hold, whatever was done to the server: a sanitizer's report,
# a role that ended by itself in any way but a good one.
UNSOUND = re.compile(
    r"^.*(Sanitizer:|runtime error:|event=role\.ended\b.*"
    r"(signal=(?!KILL\b)|status=[1-9])).*$", re.M)


def free_offset():
    """A port offset at which every port of ours is free just now; below
    the ports the system gives to clients, or one of them may sit on ours
    when a server starts again."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as f:
        clients = int(f.read().split()[0])
    highest = max(12000, clients - max(PORTS.values()))
    for _ in range(200):
        offset = random.randrange(11000, highest)
        with contextlib.ExitStack() as held:
            try:
                for port in PORTS.values():
                    s = held.enter_context(socket.socket())
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    s.bind(("127.0.0.1", port + offset))
                return offset
            except OSError:
                continue
    raise RuntimeError("no free ports")


class Postrider:
    """with Postrider() as p: p.port("imap"), p.cli("status"), ..."""

    def __init__(self, accounts=("ann", "bob"), settings="", data=None,
                 domain=DOMAIN):
        self.home = tempfile.mkdtemp(prefix="postrider-test-")
        os.chmod(self.home, 0o755)
        self.data = data or os.path.join(self.home, "data")
        self.log_path = os.path.join(self.home, "log")
        self.offset = free_offset()
        self.process = None
        self.domain = domain
        self.cli("init", domain)
        for name in accounts:
            self.add_account(f"{name}@{domain}")
        self.config = os.path.join(self.data, "postrider.conf")
        with open(self.config, "a") as f:
            f.write("\n" + settings + "\n")

    # -- the operator's commands
    def cli(self, *arguments, input=None, check=True, timeout=120):
        """Run `postrider ...` on our data; its CompletedProcess."""
        done = subprocess.run(
            [POSTRIDER, *arguments, "--data", self.data], input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True, text=True, timeout=timeout)
        if check and done.returncode != 0:
            raise AssertionError(
                f"postrider {' '.join(arguments)}: exit {done.returncode}\n"
                f"{done.stdout}{done.stderr}")
        return done

    def add_account(self, address, password=PASSWORD):
        self.cli("account", "add", address, "--password-stdin",
                 input=password + "\n")

    # -- starting and stopping
    def start(self, wait=True):
        log = open(self.log_path, "ab")
        self.process = subprocess.Popen(
            [POSTRIDER, "run", "--data", self.data,
             "--port-offset", str(self.offset)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True)
        log.close()
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, seconds=20):
        """Until SMTP and IMAP both greet."""
        deadline = time.monotonic() + seconds
        for name in ("smtp", "imap"):
            while True:
                try:
                    with socket.create_connection(
                            ("127.0.0.1", self.port(name)), 5) as s:
                        s.settimeout(5)
                        if s.recv(10)[:3] in (b"220", b"* O"):
                            break
                except OSError:
                    pass
                if self.process.poll() is not None:
                    raise AssertionError("postrider ended:\n" + self.log())
                if time.monotonic() > deadline:
                    raise AssertionError(f"no {name} greeting:\n" + self.log())
                time.sleep(0.02)

    def stop(self, seconds=20):
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            for pid in self.pids():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.process.wait()
            raise AssertionError("did not stop:\n" + self.log())
        self.process = None
        return status

    def restart(self):
        self.stop()
        return self.start()

    def __enter__(self):
        return self.start()

    def __exit__(self, *exception):
        try:
            self.stop()
            unsound = UNSOUND.search(self.log())
            if unsound:
                raise AssertionError(self.log()[unsound.start():][:8000])
        finally:
            if exception[0] is not None:
                print(self.log()[-8000:])
            shutil.rmtree(self.home, ignore_errors=True)

    # -- looking inside
    def port(self, name):
        return PORTS[name] + self.offset

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def role_pids(self):
        """{"store": [pid, ...], ...} of the roles' processes, from /proc."""
        roles = {}
        for pid in self.pids():
            with contextlib.suppress(OSError):
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    words = f.read().split(b"\0")
                if b"--role" in words:
                    role = words[words.index(b"--role") + 1].decode()
                    roles.setdefault(role, []).append(pid)
        return roles

    def pids(self):
        """The supervisor and its children."""
        if self.process is None:
            return []
        path = f"/proc/{self.process.pid}/task/{self.process.pid}/children"
        with contextlib.suppress(OSError):
            with open(path) as f:
                return [self.process.pid] + [int(p) for p in f.read().split()]
        return [self.process.pid]

    def certificate(self):
        return os.path.join(self.data, "tls", "certificate.pem")

    def tls_context(self):
        context = ssl.create_default_context(cafile=self.certificate())
        context.check_hostname = False
        return context


def sasl_plain(user, password=PASSWORD):
    return base64.b64encode(f"\0{user}\0{password}".encode()).decode()


def message(sender, to, subject="hello", body="text\r\n", extra=""):
    return (f"From: <{sender}>\r\nTo: <{to}>\r\nSubject: {subject}\r\n{extra}"
            f"\r\n{body}")


def eventually(what, seconds=15, every=0.05):
    """Call until it returns something true; that, or AssertionError."""
    deadline = time.monotonic() + seconds
    while True:
        value = what()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(every)


def alive(pid):
    """There, and not a zombie that nobody waits for."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def has_field(log, event, **fields):
    """Is there a log line of this event with these fields?"""
    for line in log.splitlines():
        if re.search(rf"\b{re.escape(event)}\b", line) and all(
                f"{k}={v}" in line or f'{k}="{v}"' in line
                for k, v in fields.items()):
            return True
    return False
