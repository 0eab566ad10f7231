"""The systems that are measured: Postrider, and Postfix with Dovecot.

Each gets the same domain, accounts and certificate, a directory of its own,
and ports of its own on loopback. Nothing of the machine's own configuration
is touched, and everything started here is stopped here, by process id.
"""
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time

DOMAIN = "example.test"
PASSWORD = "bench-password"
DEADLINE = 60


def accounts():
    """100 users who get mail, 100 who are idle, and some for one row each."""
    return ([f"u{i:02}@{DOMAIN}" for i in range(100)] +
            [f"i{i:02}@{DOMAIN}" for i in range(100)] +
            [f"x{i:02}@{DOMAIN}" for i in range(30)])


def write(path, text, mode=0o644):
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, mode)


def wait_for_greeting(port, deadline=DEADLINE):
    """Until a server on the port has greeted."""
    end = time.monotonic() + deadline
    while time.monotonic() < end:
        try:
            with socket.create_connection(("127.0.0.1", port), 5) as s:
                s.settimeout(5)
                if s.recv(256):
                    return
        except OSError:
            time.sleep(0.001)
    raise SystemExit(f"bench: nothing answers on port {port}")


def wait_until_gone(pids, deadline=DEADLINE):
    end = time.monotonic() + deadline
    while any(os.path.exists(f"/proc/{p}/exe") for p in pids):
        if time.monotonic() > end:
            raise SystemExit(f"bench: {pids} do not stop")
        time.sleep(0.02)


def descendants(roots):
    """All processes below these, and these."""
    children = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat") as f:
                parent = int(f.read().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue
        children.setdefault(parent, []).append(int(entry))
    found, todo = [], [p for p in roots if os.path.exists(f"/proc/{p}")]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo.extend(children.get(pid, []))
    return found


def pss_of(pid):
    """Proportional set size of a process, in KiB; 0 when it is gone."""
    try:
        with open(f"/proc/{pid}/smaps_rollup") as f:
            return sum(int(line.split()[1]) for line in f
                       if line.startswith("Pss:"))
    except OSError:
        return 0


def pss(roots):
    """Of all processes below these."""
    return sum(pss_of(pid) for pid in descendants(roots))


def run(*argv, **more):
    """Run a program to its end; its output. It may leave a daemon behind,
    which must not keep us: so the output goes to a file, not a pipe."""
    with tempfile.TemporaryFile("w+") as out:
        more.setdefault("timeout", DEADLINE)
        if "input" not in more:
            more["stdin"] = subprocess.DEVNULL
        done = subprocess.run(argv, stdout=out, stderr=subprocess.STDOUT,
                              text=True, **more)
        out.seek(0)
        text = out.read()
    if done.returncode != 0:
        raise SystemExit(f"bench: {' '.join(argv)}: {text}")
    return text


class Postrider:
    name = "Postrider"
    offset = 21000
    smtp, imap, imaps, pop3 = 21025, 21143, 21993, 21110
    hibernates = False

    def __init__(self, program, directory, certificate,
                 config=None):
        self.program, self.dir = os.path.abspath(program), directory
        self.data = f"{directory}/data"
        self.config = f"{directory}/postrider.conf"
        self.process = None
        run(self.program, "init", DOMAIN, "--data", self.data)
        for name in ("certificate.pem", "key.pem"):
            shutil.copy(f"{certificate}/{name}", f"{self.data}/tls/{name}")
        write(self.config, config or CONFIG_POSTRIDER)

    def add(self, names):
        table = f"{self.dir}/accounts.csv"
        write(table, "".join(f"{a},{PASSWORD}\n" for a in names), 0o600)
        run(self.program, "account", "add", "--csv", table, "--data",
            self.data, timeout=1200)

    def start(self):
        log = open(f"{self.dir}/log", "a")
        self.process = subprocess.Popen(
            [self.program, "run", "--data", self.data, "--config",
             self.config, "--port-offset", str(self.offset)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def started(self):
        """Seconds from the start to the greeting: SMTP, IMAP."""
        times = []
        for port in (self.smtp, self.imap):
            begin = time.monotonic()
            self.start()
            wait_for_greeting(port)
            times.append(time.monotonic() - begin)
            self.stop()
        return times

    def wait_ready(self):
        for port in (self.smtp, self.imap, self.pop3):
            wait_for_greeting(port)

    def drain(self):
        """Until all that was accepted is delivered: it is, within a moment."""
        time.sleep(1)

    def settle(self):
        """Until the search index has all messages."""
        for _ in range(DEADLINE * 60):
            status = json.loads(run(self.program, "index", "status", "--json",
                                    "--data", self.data))
            if status["waiting"] == 0:
                return
            time.sleep(1)
        raise SystemExit("bench: the index does not come to an end")

    def memory(self):
        """KiB of each role, its share of what is shared."""
        roles = {}
        for pid in descendants(self.roots()):
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                words = f.read().decode().split("\0")
            if "--role" in words:
                role = words[words.index("--role") + 1]
                roles[role] = roles.get(role, 0) + pss_of(pid)
        return roles

    def roots(self):
        return [self.process.pid]

    def stop(self):
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(DEADLINE)
        self.process = None

    def version(self):
        return run(self.program, "--version").split("\n")[0]


CONFIG_POSTRIDER = """\
# Measured over loopback: one address is all the clients there are.
auth { plaintext_on_loopback = yes }
imap { max_sessions_per_address = 10000 }
"""


class Peers:
    """Postfix hands over to Dovecot by LMTP; Dovecot keeps sdbox."""
    name = "Postfix + Dovecot"
    smtp, imap, imaps, pop3 = 22025, 22143, 22993, 22110
    hibernates = True

    def __init__(self, directory, certificate):
        self.dir, self.certificate = directory, certificate
        self.user = pwd.getpwnam("mail")
        self.postfix = f"{directory}/postfix"
        self.dovecot = f"{directory}/dovecot"
        self.hibernate = None      # seconds; 0 never
        self.make_postfix()
        self.make_dovecot()

    def make_postfix(self):
        for name in ("", "/etc", "/queue", "/data"):
            os.makedirs(self.postfix + name, exist_ok=True)
        shutil.chown(f"{self.postfix}/data", "postfix", "postfix")
        write(f"{self.postfix}/etc/users", "".join(
            f"{a} here\n" for a in accounts()))
        write(f"{self.postfix}/etc/main.cf", POSTFIX_MAIN.format(
            dir=self.postfix, domain=DOMAIN, lmtp=f"{self.dovecot}/run/lmtp"))
        write(f"{self.postfix}/etc/master.cf",
              POSTFIX_MASTER.format(smtp=self.smtp))
        for name in ("dynamicmaps.cf", "postfix-files"):
            shutil.copy(f"/etc/postfix/{name}", f"{self.postfix}/etc/{name}")
        os.makedirs(f"{self.postfix}/etc/dynamicmaps.cf.d", exist_ok=True)
        os.makedirs(f"{self.postfix}/etc/postfix-files.d", exist_ok=True)
        run("postmap", "-c", f"{self.postfix}/etc",
            f"hash:{self.postfix}/etc/users")
        run("postfix", "-c", f"{self.postfix}/etc", "check")

    def make_dovecot(self):
        for name in ("", "/run", "/mail"):
            os.makedirs(self.dovecot + name, exist_ok=True)
        shutil.chown(f"{self.dovecot}/mail", "mail", "mail")

    def write_users(self):
        """One uid for all, so that processes serve one after the other; but
        the kernel gives each uid 128 inotify instances, without which nobody
        hibernates: so each has his own where that is measured."""
        lines = []
        for i, account in enumerate(accounts()):
            uid, home = self.user.pw_uid, f"{self.dovecot}/mail/{account}"
            if self.hibernate is not None:
                uid, home = 20000 + i, f"{self.dovecot}/idle/{account}"
                os.makedirs(home, exist_ok=True)
                os.chown(home, uid, self.user.pw_gid)
            lines.append(f"{account}:{{PLAIN}}{PASSWORD}:{uid}:"
                         f"{self.user.pw_gid}::{home}::\n")
        write(f"{self.dovecot}/users", "".join(lines))

    def write_config(self):
        self.write_users()
        write(f"{self.dovecot}/dovecot.conf", DOVECOT.format(
            dir=self.dovecot, imap=self.imap, imaps=self.imaps,
            pop3=self.pop3, certificate=self.certificate,
            hibernate=self.hibernate or 0, uid=self.user.pw_uid,
            reuse=1000 if self.hibernate is None else 1))

    def start_dovecot(self):
        self.write_config()
        run("dovecot", "-c", f"{self.dovecot}/dovecot.conf")

    def start_postfix(self):
        run("postfix", "-c", f"{self.postfix}/etc", "start")

    def start(self):
        self.start_dovecot()
        self.start_postfix()

    def started(self):
        begin = time.monotonic()
        self.start_postfix()
        wait_for_greeting(self.smtp)
        smtp = time.monotonic() - begin
        begin = time.monotonic()
        self.start_dovecot()
        wait_for_greeting(self.imap)
        imap = time.monotonic() - begin
        self.stop()
        return [smtp, imap]

    def wait_ready(self):
        for port in (self.smtp, self.imap, self.pop3):
            wait_for_greeting(port)

    def drain(self):
        """Until Postfix has handed everything to Dovecot."""
        for _ in range(10 * DEADLINE):
            if "is empty" in run("postqueue", "-c", f"{self.postfix}/etc",
                                 "-p"):
                return
            time.sleep(0.1)
        raise SystemExit("bench: Postfix's queue does not get empty")

    def settle(self):
        """There is nothing that Dovecot would prepare."""

    def memory(self):
        """KiB of the processes that serve IMAP."""
        return {"imap": sum(
            pss_of(pid) for pid in descendants(self.roots())
            if open(f"/proc/{pid}/comm").read().strip() == "imap")}

    def roots(self):
        pids = []
        for path in (f"{self.postfix}/queue/pid/master.pid",
                     f"{self.dovecot}/run/master.pid"):
            try:
                with open(path) as f:
                    pid = int(f.read())
                with open(f"/proc/{pid}/comm") as f:
                    if f.read().strip() in ("master", "dovecot"):
                        pids.append(pid)
            except (OSError, ValueError):
                pass
        return pids

    def stop(self):
        pids = descendants(self.roots())
        for pid in self.roots():
            os.kill(pid, signal.SIGTERM)
        wait_until_gone(pids)

    def version(self):
        postfix = run("postconf", "-c", f"{self.postfix}/etc", "-h",
                      "mail_version").strip()
        return f"Postfix {postfix}, Dovecot {run('dovecot', '--version')}" \
            .strip()


POSTFIX_MAIN = """\
compatibility_level = 3.6
queue_directory = {dir}/queue
data_directory = {dir}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = {dir}/log
maillog_file_prefixes = {dir}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mail.{domain}
mydestination =
mynetworks = 127.0.0.0/8
virtual_mailbox_domains = {domain}
virtual_mailbox_maps = hash:{dir}/etc/users
virtual_transport = lmtp:unix:{lmtp}
alias_maps =
alias_database =
smtpd_recipient_restrictions = reject_unauth_destination
in_flow_delay = 0
"""

POSTFIX_MASTER = """\
127.0.0.1:{smtp} inet n - n - - smtpd
cleanup   unix  n - n - 0 cleanup
qmgr      unix  n - n 300 1 qmgr
tlsmgr    unix  - - n 1000? 1 tlsmgr
rewrite   unix  - - n - - trivial-rewrite
bounce    unix  - - n - 0 bounce
defer     unix  - - n - 0 bounce
trace     unix  - - n - 0 bounce
verify    unix  - - n - 1 verify
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n - - proxymap
proxywrite unix - - n - 1 proxymap
showq     unix  n - n - - showq
error     unix  - - n - - error
retry     unix  - - n - - error
lmtp      unix  - - n - - lmtp
anvil     unix  - - n - 1 anvil
scache    unix  - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
"""

DOVECOT = """\
base_dir = {dir}/run
state_dir = {dir}/run
instance_name = bench
log_path = {dir}/log
protocols = imap pop3 lmtp
listen = 127.0.0.1
ssl = yes
ssl_cert = <{certificate}/certificate.pem
ssl_key = <{certificate}/key.pem
ssl_min_protocol = TLSv1.2
disable_plaintext_auth = no
first_valid_uid = {uid}
mail_location = sdbox:~/sdbox
mail_fsync = optimized
mail_max_userip_connections = 10000
imap_hibernate_timeout = {hibernate}s
auth_cache_size = 10M
passdb {{
  driver = passwd-file
  args = scheme=PLAIN {dir}/users
}}
userdb {{
  driver = passwd-file
  args = {dir}/users
}}
namespace inbox {{
  inbox = yes
}}
service imap-login {{
  service_count = 0
  process_min_avail = 2
  client_limit = 4000
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
}}
service imap {{
  process_limit = 3000
  service_count = {reuse}
  process_min_avail = 8
  unix_listener imap-master {{
    user = dovecot
  }}
}}
service imap-hibernate {{
  client_limit = 4000
  unix_listener imap-hibernate {{
    mode = 0666
  }}
}}
service pop3-login {{
  service_count = 0
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
service lmtp {{
  process_min_avail = 4
  unix_listener lmtp {{
    mode = 0666
  }}
}}
service anvil {{
  client_limit = 10000
}}
service auth {{
  client_limit = 10000
}}
service stats {{
  client_limit = 10000
}}
"""
