"""Postfix, Exim and OpenSMTPD from Debian, each in a small world of its own.

They cannot be installed beside each other, and each has its paths and users
built in. So their packages are unpacked, not installed (tools/unpack-packages),
and each runs in a root directory of its own: the machine's programs and
libraries, read-only, and an /etc and /var that are made here. Only root can
do that.

isolate() gives this process a network and mounts of its own: only a loopback,
where every port is free and every address below 127.0.0.0/8 is ours.
"""
import contextlib
import ctypes
import email
import mailbox
import os
import shutil
import signal
import smtplib
import socket
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
UNPACKED = os.path.join(ROOT, "build-peers")
NAMESERVER = "127.0.0.53"

CLONE_NEWNS, CLONE_NEWNET = 0x00020000, 0x40000000
MS_REC, MS_PRIVATE, MS_BIND, MS_RDONLY, MS_REMOUNT = 16384, 1 << 18, 4096, 1, 32

libc = ctypes.CDLL(None, use_errno=True)


def checked(status, what):
    if status != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")


def mount(source, target, flags=MS_BIND | MS_REC, kind=None, data=None):
    checked(libc.mount(source.encode(), target.encode(),
                       kind.encode() if kind else None, flags,
                       data.encode() if data else None), f"mount {target}")


@contextlib.contextmanager
def isolate():
    """A network with nothing but a loopback, and /etc/resolv.conf and
    /etc/hosts that name our own nameserver and nobody."""
    before = os.open("/proc/self/ns/net", os.O_RDONLY)
    checked(libc.unshare(CLONE_NEWNET | CLONE_NEWNS), "unshare")
    checked(libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None), "mount")
    places = []
    with tempfile.TemporaryDirectory(prefix="postrider-net-") as here:
        try:
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            for name, text in (
                    ("resolv.conf", f"nameserver {NAMESERVER}\n"),
                    ("hosts", "127.0.0.1 localhost\n")):
                path = os.path.join(here, name)
                with open(path, "w") as f:
                    f.write(text)
                real = os.path.realpath(f"/etc/{name}")
                if not os.path.exists(real):
                    continue
                mount(path, real)
                places.append(real)
            yield
        finally:
            for place in places:
                libc.umount2(place.encode(), 2)
            libc.setns(before, CLONE_NEWNET)
            os.close(before)


def write(path, text, mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, mode)


def wait_for_greeting(address, port=25, seconds=30):
    deadline = time.monotonic() + seconds
    while True:
        try:
            with socket.create_connection((address, port), 5) as s:
                s.settimeout(10)
                if s.recv(100)[:3] == b"220":
                    return
        except OSError:
            pass
        if time.monotonic() > deadline:
            raise AssertionError(f"{address}:{port} does not greet")
        time.sleep(0.05)


# Users that the peers' programs look up by name; nobody else is in there.
PASSWD = """\
root:x:0:0:root:/root:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
postfix:x:7001:7001::/var/spool/postfix:/usr/sbin/nologin
Debian-exim:x:7002:7002::/var/spool/exim4:/usr/sbin/nologin
opensmtpd:x:7003:7003::/var/lib/opensmtpd/empty:/usr/sbin/nologin
opensmtpq:x:7004:7004::/var/lib/opensmtpd/empty:/usr/sbin/nologin
mail:x:8:8::/var/mail:/usr/sbin/nologin
user:x:7010:7010::/home/user:/bin/sh
"""
GROUP = """\
root:x:0:
nogroup:x:65534:
mail:x:8:
postfix:x:7001:
postdrop:x:7005:
Debian-exim:x:7002:
opensmtpd:x:7003:
opensmtpq:x:7004:
user:x:7010:
"""


class Peer:
    """A mail server for @DOMAIN at an address: all its mail goes into one
    Maildir; from the loopback it takes mail for anywhere."""
    packages = ()
    libexec = None              # below /usr, from its package
    command = ()

    def __init__(self, address, domain, settings=""):
        self.address, self.domain = address, domain
        self.hostname = f"mx.{domain}"
        self.home = tempfile.mkdtemp(prefix=f"peer-{type(self).__name__}-")
        os.chmod(self.home, 0o755)
        self.root = os.path.join(self.home, "root")
        self.process = None
        self.settings = settings
        self.make_root()
        self.configure()

    # -- its root
    def make_root(self):
        for name in ("usr", "lib", "lib64", "bin", "sbin", "dev", "proc",
                     "tmp", "run", "etc/ssl/certs", "var/tmp", "var/log",
                     "var/mail", "var/run", "var/lib", "root",
                     "home/user/Maildir/new", "home/user/Maildir/cur",
                     "home/user/Maildir/tmp"):
            os.makedirs(os.path.join(self.root, name), exist_ok=True)
        os.chmod(os.path.join(self.root, "tmp"), 0o1777)
        os.chmod(os.path.join(self.root, "var/tmp"), 0o1777)
        for path, _, _ in os.walk(os.path.join(self.root, "home/user")):
            os.chown(path, 7010, 7010)
        etc = os.path.join(self.root, "etc")
        write(f"{etc}/passwd", PASSWD)
        write(f"{etc}/group", GROUP)
        write(f"{etc}/shadow", "".join(
            f"{line.split(':')[0]}:*:19000:0:99999:7:::\n"
            for line in PASSWD.splitlines()), 0o600)
        write(f"{etc}/resolv.conf", f"nameserver {NAMESERVER}\n")
        write(f"{etc}/hosts", "127.0.0.1 localhost\n")
        write(f"{etc}/nsswitch.conf",
              "passwd: files\ngroup: files\nshadow: files\n"
              "hosts: files dns\nservices: files\nprotocols: files\n")
        write(f"{etc}/mailname", self.hostname + "\n")
        for name in ("services", "protocols", "ld.so.cache"):
            if os.path.exists(f"/etc/{name}"):
                shutil.copy(f"/etc/{name}", etc)
        if not os.path.exists(f"{etc}/services"):
            write(f"{etc}/services", "smtp 25/tcp mail\ndomain 53/udp\n")
        self.make_certificate()

    def make_certificate(self):
        self.certificate = os.path.join(self.root, "etc/ssl/mx.pem")
        self.key = os.path.join(self.root, "etc/ssl/mx.key")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
             "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj",
             f"/CN={self.hostname}", "-addext",
             f"subjectAltName=DNS:{self.hostname}", "-keyout", self.key,
             "-out", self.certificate], check=True, capture_output=True)
        os.chmod(self.key, 0o600)

    def enter(self):
        """In the child: mounts of its own, then its root."""
        checked(libc.unshare(CLONE_NEWNS), "unshare")
        checked(libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None), "/")
        for name in ("usr", "lib", "lib64", "bin", "sbin"):
            if os.path.isdir(f"/{name}"):
                mount(os.path.realpath(f"/{name}"), f"{self.root}/{name}")
        for name in ("dev", "proc"):
            mount(f"/{name}", f"{self.root}/{name}")
        if self.libexec is not None:
            mount("tmpfs", f"{self.root}/usr/libexec", 0, "tmpfs")
            where = f"{self.root}/usr/libexec/{self.libexec}"
            shutil.copytree(f"{UNPACKED}/usr/libexec/{self.libexec}", where)
        os.chroot(self.root)
        os.chdir("/")
        os.environ.clear()
        os.environ["PATH"] = "/usr/sbin:/usr/bin:/sbin:/bin"

    def bring(self, *names):
        """Programs of the unpacked packages, below /opt in its root."""
        for name in names:
            to = os.path.join(self.root, "opt", os.path.basename(name))
            os.makedirs(os.path.dirname(to), exist_ok=True)
            shutil.copy(os.path.join(UNPACKED, name), to)

    def configure(self):
        raise NotImplementedError

    # -- its life
    def start(self):
        # Postfix listens only on what an interface is said to have.
        subprocess.run(["ip", "address", "add", f"{self.address}/8", "dev",
                        "lo"], capture_output=True, check=False)
        log = open(os.path.join(self.home, "log"), "ab")
        self.process = subprocess.Popen(
            self.command, preexec_fn=self.enter, stdin=subprocess.DEVNULL,
            stdout=log, stderr=log, start_new_session=True)
        log.close()
        try:
            wait_for_greeting(self.address)
        except AssertionError:
            raise AssertionError(self.log())
        return self

    def pids(self):
        """The process started here and all below it."""
        children = {}
        for entry in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError, ValueError, IndexError):
                with open(f"/proc/{entry}/stat") as f:
                    parent = int(f.read().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry))
        found, todo = [], [self.process.pid]
        while todo:
            found.append(todo.pop())
            todo += children.get(found[-1], [])
        return found

    def stop(self):
        if self.process is None:
            return
        pids = self.pids()
        for sign in (signal.SIGTERM, signal.SIGKILL):
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, sign)
            deadline = time.monotonic() + 5
            while time.monotonic() < deadline:
                self.process.poll()
                pids = [p for p in pids if os.path.exists(f"/proc/{p}/exe")]
                if not pids:
                    break
                time.sleep(0.02)
        self.process.wait(5)
        self.process = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *exception):
        self.stop()
        if exception[0] is not None:
            print(f"---- {type(self).__name__}\n{self.log()[-6000:]}")
        shutil.rmtree(self.home, ignore_errors=True)

    def log(self):
        text = ""
        for place in (self.home, os.path.join(self.root, "var/log"),
                      os.path.join(self.root, "var/log/exim4")):
            for name in sorted(os.listdir(place)) if os.path.isdir(place) \
                    else ():
                path = os.path.join(place, name)
                if os.path.isfile(path):
                    with open(path, errors="replace") as f:
                        text += f.read()
        return text

    # -- mail
    def messages(self):
        """What arrived, as email.message.Message."""
        box = mailbox.Maildir(os.path.join(self.root, "home/user/Maildir"),
                              factory=lambda f: email.message_from_binary_file(f))
        return [box[key] for key in sorted(box.keys())]

    def send(self, sender, to, message, options=()):
        """Hand it a message that it shall send on."""
        with smtplib.SMTP(self.address, 25, timeout=30) as s:
            s.ehlo("localhost")
            s.sendmail(sender, to, message, mail_options=list(options))


def last_of_each(settings):
    """Lines NAME = VALUE, without those that a later one replaces."""
    lines = {line.split("=")[0].strip(): line
             for line in settings.splitlines() if "=" in line}
    return "".join(f"{line}\n" for line in lines.values())


class Postfix(Peer):
    packages = ("postfix",)
    command = ("/usr/sbin/postfix", "-c", "/etc/postfix", "start-fg")

    def configure(self):
        etc = os.path.join(self.root, "etc/postfix")
        # What is set twice costs a warning of every program, and more of
        # these than fit a socket keep master from starting who reads them.
        write(f"{etc}/main.cf", last_of_each(f"""\
compatibility_level = 3.6
mail_owner = postfix
setgid_group = postdrop
maillog_file = /var/log/postfix.log
inet_interfaces = {self.address}
smtp_bind_address = {self.address}
inet_protocols = ipv4
myhostname = {self.hostname}
mydestination =
mynetworks = 127.0.0.1/32
virtual_mailbox_domains = {self.domain}
virtual_mailbox_base = /home/user
virtual_mailbox_maps = static:Maildir/
virtual_uid_maps = static:7010
virtual_gid_maps = static:7010
alias_maps =
alias_database =
smtpd_tls_cert_file = /etc/ssl/mx.pem
smtpd_tls_key_file = /etc/ssl/mx.key
smtpd_tls_security_level = may
smtp_tls_security_level = may
smtpd_recipient_restrictions = permit_mynetworks, reject_unauth_destination
smtpd_discard_ehlo_keywords =
in_flow_delay = 0
minimal_backoff_time = 2s
maximal_backoff_time = 4s
queue_run_delay = 2s
{self.settings}
"""))
        write(f"{etc}/master.cf", "".join(f"{line}\n" for line in (
            "smtp inet n - n - - smtpd",
            "pickup unix n - n 60 1 pickup",
            "cleanup unix n - n - 0 cleanup",
            "qmgr unix n - n 2 1 qmgr",
            "tlsmgr unix - - n 1000? 1 tlsmgr",
            "rewrite unix - - n - - trivial-rewrite",
            "bounce unix - - n - 0 bounce",
            "defer unix - - n - 0 bounce",
            "trace unix - - n - 0 bounce",
            "verify unix - - n - 1 verify",
            "flush unix n - n 1000? 0 flush",
            "proxymap unix - - n - - proxymap",
            "smtp unix - - n - - smtp",
            "relay unix - - n - - smtp",
            "showq unix n - n - - showq",
            "error unix - - n - - error",
            "retry unix - - n - - error",
            "discard unix - - n - - discard",
            "virtual unix - n n - - virtual",
            "lmtp unix - - n - - lmtp",
            "anvil unix - - n - 1 anvil",
            "scache unix - - n - 1 scache",
            "postlog unix-dgram n - n - 1 postlogd")))
        for name in ("dynamicmaps.cf", "postfix-files"):
            if os.path.exists(f"/etc/postfix/{name}"):
                shutil.copy(f"/etc/postfix/{name}", etc)
        for name in ("dynamicmaps.cf.d", "postfix-files.d"):
            os.makedirs(f"{etc}/{name}", exist_ok=True)
        for name in ("spool/postfix", "lib/postfix"):
            os.makedirs(f"{self.root}/var/{name}", exist_ok=True)
        os.chown(f"{self.root}/var/lib/postfix", 7001, 7001)


class Exim(Peer):
    packages = ("exim4-daemon-light", "exim4-base")
    command = ("/opt/exim4", "-bdf", "-q2s",
               "-oP", "/run/exim.pid")

    def configure(self):
        self.bring("usr/sbin/exim4")
        write(f"{self.root}/etc/exim4/exim4.conf", f"""\
exim_path = /opt/exim4
primary_hostname = {self.hostname}
domainlist local_domains = {self.domain}
hostlist relay_from = 127.0.0.1
acl_smtp_rcpt = acl_rcpt
acl_smtp_data = acl_data
local_interfaces = {self.address}
daemon_smtp_ports = 25
tls_advertise_hosts = *
tls_certificate = /etc/ssl/mx.pem
tls_privatekey = /etc/ssl/mx.key
smtputf8_advertise_hosts = *
dsn_advertise_hosts = *
prdr_enable = true
log_file_path = /var/log/exim4/%slog
spool_directory = /var/spool/exim4
never_users = root
host_lookup =
rfc1413_query_timeout = 0s
ignore_bounce_errors_after = 2d
timeout_frozen_after = 7d
keep_environment =
{self.settings}
begin acl
acl_rcpt:
  accept hosts = +relay_from
  require message = relay not permitted
          domains = +local_domains
  accept
acl_data:
  accept
begin routers
here:
  driver = accept
  domains = +local_domains
  transport = into_maildir
outside:
  driver = dnslookup
  domains = ! +local_domains
  transport = by_smtp
  no_more
begin transports
into_maildir:
  driver = appendfile
  maildir_format
  directory = /home/user/Maildir
  user = user
  group = user
  return_path_add
by_smtp:
  driver = smtp
  interface = {self.address}
  hosts_try_dane =
begin retry
* * F,1h,3s
begin rewrite
begin authenticators
""")
        for name in ("spool/exim4", "log/exim4"):
            os.makedirs(f"{self.root}/var/{name}", exist_ok=True)
            os.chown(f"{self.root}/var/{name}", 7002, 7002)
        os.chown(self.key, 7002, 7002)


class OpenSMTPD(Peer):
    """Debian 12's offers STARTTLS and then fails in every handshake: the
    process that keeps its key cannot sign what OpenSSL 3 asks for."""
    packages = ("opensmtpd",)
    libexec = "opensmtpd"
    command = ("/opt/smtpd", "-d", "-f", "/etc/smtpd.conf")

    def configure(self):
        self.bring("usr/sbin/smtpd", "usr/sbin/smtpctl")
        write(f"{self.root}/etc/smtpd.conf", f"""\
pki peer cert "/etc/ssl/mx.pem"
pki peer key "/etc/ssl/mx.key"
smtp max-message-size "30M"
table here {{ "@" = "user" }}
listen on {self.address} port 25 tls pki peer hostname "{self.hostname}"
action "maildir" maildir "/home/user/Maildir" virtual <here>
action "outside" relay src {self.address} helo "{self.hostname}"
match from any for domain "{self.domain}" action "maildir"
match from src 127.0.0.1 for any action "outside"
{self.settings}
""", 0o600)
        for name, uid, gid, mode in (
                ("lib/opensmtpd/empty", 0, 0, 0o755),
                ("spool/smtpd", 0, 0, 0o711)):
            path = f"{self.root}/var/{name}"
            os.makedirs(path, exist_ok=True)
            os.chown(path, uid, gid)
            os.chmod(path, mode)
