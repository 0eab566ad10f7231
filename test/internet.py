"""The DNS of a small internet: a real authoritative server, signed from its
root, for one test.

    with Dns({"a.test": "@ MX 10 mx\\nmx A 127.0.2.1\\n"}) as dns, \\
            Postrider(settings=dns.settings) as server:

NSD serves every zone and the root; each is delegated from the zone above it and
signed with a key of its own, so that the chain of trust is a real one. Zones
named in `unsigned` have no key, those in `bogus` signatures that do not
fit, those in `expired` old ones. SOA, NS and the address of the nameserver are
added by themselves; names without a final dot are below the zone.
"""
import contextlib
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time

ALGORITHM = "ECDSAP256SHA256"
TYPES = {"A": 1, "NS": 2, "SOA": 6, "MX": 15, "TXT": 16, "AAAA": 28}


def free_port(address):
    """A port where neither UDP nor TCP is in use."""
    for _ in range(100):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as u, \
                socket.socket() as t:
            u.bind((address, 0))
            port = u.getsockname()[1]
            with contextlib.suppress(OSError):
                t.bind((address, port))
                return port
    raise RuntimeError("no free port")


def encode_name(name):
    labels = [label for label in name.rstrip(".").split(".") if label]
    return b"".join(bytes([len(x)]) + x.encode() for x in labels) + b"\0"


def ask(name, kind, address, port, seconds=2.0):
    """One plain question by UDP: the answer's (rcode, bytes)."""
    query = struct.pack("!6H", 0x4242, 0, 1, 0, 0, 0) + encode_name(name) + \
        struct.pack("!2H", TYPES.get(kind, kind), 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(seconds)
        s.connect((address, port))
        s.send(query)
        answer = s.recv(65535)
    return answer[3] & 15, answer


class Dns:
    def __init__(self, zones, address="127.0.0.1", port=None, unsigned=(),
                 bogus=(), expired=(), ttl=60):
        self.address, self.ttl = address, ttl
        self.port = port or free_port(address)
        self.zones = {name.rstrip("."): text for name, text in zones.items()}
        self.unsigned, self.bogus = set(unsigned), set(bogus)
        self.expired = set(expired)
        self.serial = 1
        self.process = None
        self.home = tempfile.mkdtemp(prefix="postrider-dns-")
        os.chmod(self.home, 0o755)
        self.keys = {}
        self.trust_anchor = None

    @property
    def settings(self):
        return (f'resolver {{ servers = "{self.address}@{self.port}"; '
                f'trust_anchor = "{self.trust_anchor}" }}')

    # -- making zones
    def run(self, *command):
        done = subprocess.run(command, cwd=self.home, capture_output=True,
                              text=True)
        if done.returncode != 0:
            raise AssertionError(f"{' '.join(command)}:\n{done.stdout}"
                                 f"{done.stderr}")
        return done.stdout

    def path(self, name, suffix=""):
        return os.path.join(self.home, (name or "root") + ".zone" + suffix)

    def key(self, zone):
        """The base name of a zone's key."""
        if zone not in self.keys:
            self.keys[zone] = self.run(
                "ldns-keygen", "-k", "-a", ALGORITHM, "-r", "/dev/urandom",
                zone or ".").strip()
        return self.keys[zone]

    def parent(self, zone):
        """The zone that delegates it: the nearest above, or the root."""
        labels = zone.split(".")
        for i in range(1, len(labels)):
            above = ".".join(labels[i:])
            if above in self.zones:
                return above
        return ""

    def delegation(self, zone):
        text = (f"{zone}. NS ns.{zone}.\n"
                f"ns.{zone}. A {self.address}\n")
        if zone not in self.unsigned:
            with open(os.path.join(self.home, self.key(zone) + ".ds")) as f:
                text += f.read()
        return text

    def text(self, zone):
        end = f"{zone}." if zone else "."
        under = "" if zone == "" else end
        below = "".join(self.delegation(z) for z in self.zones
                        if z and z != zone and self.parent(z) == zone)
        return (f"$ORIGIN {end}\n$TTL {self.ttl}\n"
                f"@ SOA ns.{under} hostmaster.{under} {self.serial} 3600 600 "
                f"86400 {self.ttl}\n@ NS ns.{under}\n"
                f"ns.{under} A {self.address}\n{self.zones.get(zone, '')}\n"
                f"{below}")

    def spoil(self, path):
        """Signatures that fit nothing, but for the keys' own."""
        def other(match):
            return match[1] + ("B" if match[2] != "B" else "C") + match[3]

        with open(path) as f:
            lines = f.read().splitlines(keepends=True)
        with open(path, "w") as f:
            for line in lines:
                if "\tRRSIG\t" in line and "\tRRSIG\tDNSKEY" not in line:
                    line = re.sub(r"(\s)(\S)(\S{20,}\s*)$", other, line)
                f.write(line)

    def make(self, zone):
        with open(self.path(zone), "w") as f:
            f.write(self.text(zone))
        served = self.path(zone, ".served")
        if zone in self.unsigned:
            shutil.copy(self.path(zone), served)
            return
        options = ["-i", "20190101", "-e", "20200101"] \
            if zone in self.expired else []
        self.run("ldns-signzone", "-o", zone or ".", *options, "-f",
                 served + ".new", self.path(zone), self.key(zone))
        if zone in self.bogus:
            self.spoil(served + ".new")
        os.rename(served + ".new", served)

    def configure(self):
        with open(os.path.join(self.home, "nsd.conf"), "w") as f:
            f.write(f"""
server:
    ip-address: {self.address}@{self.port}
    server-count: 1
    username: ""
    chroot: ""
    zonesdir: "{self.home}"
    database: ""
    pidfile: ""
    logfile: "{self.home}/log"
    zonelistfile: "{self.home}/zone.list"
    xfrdfile: ""
    xfrdir: "{self.home}"
    rrl-ratelimit: 0
    zonefiles-check: yes
remote-control:
    control-enable: no
""")
            for zone in ["", *self.zones]:
                if zone in self.zones or zone == "":
                    f.write(f'zone:\n    name: "{zone or "."}"\n'
                            f'    zonefile: "{self.path(zone, ".served")}"\n')

    # -- changing them
    def set(self, zone, text):
        """The zone says this from now on; what is cached stays for its ttl."""
        new = zone not in self.zones
        self.zones[zone] = text
        self.serial += 1
        if self.process is None:
            return
        self.make(zone)
        if new:
            self.make(self.parent(zone))
            self.configure()
            self.stop()
            self.serve()
        else:
            # Its clock looks at whole seconds.
            future = time.time() + self.serial
            os.utime(self.path(zone, ".served"), (future, future))
            self.process.send_signal(signal.SIGHUP)
            self.wait(zone)

    # -- serving
    def serve(self):
        """Start the server on the zones that are there."""
        nsd = shutil.which("nsd", path=os.environ.get("PATH", "") +
                           ":/usr/sbin")
        self.process = subprocess.Popen(
            [nsd, "-d", "-c", os.path.join(self.home, "nsd.conf")],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, cwd=self.home)
        self.wait("")
        return self

    def log(self):
        with contextlib.suppress(OSError), \
                open(os.path.join(self.home, "log")) as f:
            return f.read()
        return ""

    def wait(self, zone, seconds=20):
        """Until the newest version of a zone is served."""
        with open(self.path(zone)) as f:
            wanted = int(re.search(r" SOA \S+ \S+ (\d+)", f.read())[1])
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                _, answer = ask(zone, "SOA", self.address, self.port, 0.5)
                # The five numbers end the only record's data.
                numbers = [struct.unpack("!5I", answer[i:i + 20])
                           for i in range(12, len(answer) - 19)]
                if any(n[0] == wanted and n[1:4] == (3600, 600, 86400)
                       for n in numbers):
                    return
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError(f"no DNS for {zone or '.'}:\n{self.log()}")

    def start(self):
        for zone in ["", *self.zones]:
            self.make(zone)
        self.trust_anchor = os.path.join(self.home, self.key("") + ".key")
        self.configure()
        return self.serve()

    def stop(self):
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.__exit__(None)
            raise

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.home, ignore_errors=True)
