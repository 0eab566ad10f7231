"""More mail clients that people use, each doing with IMAP what its users do.

isync, mutt, fetchmail, curl and Python's imaplib are in test_clients.py.
"""
import base64
import ctypes
import glob
import itertools
import json
import mailbox
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import time

import pytest
from harness import DOMAIN, PASSWORD, Postrider, eventually, message
from test_clients import ANN, fill, imap, run, subjects

HERE = os.path.dirname(os.path.abspath(__file__))


@pytest.fixture(scope="module")
def server():
    with Postrider() as p:
        yield p


numbers = itertools.count()


@pytest.fixture
def user(server):
    address = f"client{next(numbers)}@{DOMAIN}"
    server.add_account(address)
    return address


def flags(server, user, subject, folder="INBOX"):
    """Of the message with this subject; None: it is not there."""
    connection = imap(server, user)
    try:
        connection.select(folder, readonly=True)
        _, found = connection.search(None, "SUBJECT", f'"{subject}"')
        if not found[0]:
            return None
        _, data = connection.fetch(found[0].split()[0], "(FLAGS)")
        return set(re.search(rb"FLAGS \((.*?)\)", data[0])[1].decode().split())
    finally:
        connection.logout()


# -- offlineimap -----------------------------------------------------------------

def test_offlineimap(server, user, tmp_path):
    fill(server, user, 5)
    rc = tmp_path / "offlineimaprc"
    rc.write_text(f"""
[general]
accounts = test
metadata = {tmp_path}/metadata
[Account test]
localrepository = near
remoterepository = far
[Repository near]
type = Maildir
localfolders = {tmp_path}/mail
[Repository far]
type = IMAP
remotehost = localhost
remoteport = {server.port("imaps")}
remoteuser = {user}
remotepass = {PASSWORD}
ssl = yes
sslcacertfile = {server.certificate()}
expunge = yes
""")

    def sync():
        run(["offlineimap", "-o", "-u", "quiet", "-c", str(rc)], tmp_path)

    def box(folder="INBOX"):
        return mailbox.Maildir(str(tmp_path / "mail" / folder), factory=None)

    sync()
    assert sorted(m["Subject"] for m in box()) == [
        f"number {n}" for n in range(5)]
    # Here: one read and flagged, one deleted, one new. There: one deleted, one
    # new, one answered.
    near = box()
    by_subject = {m["Subject"]: k for k, m in near.items()}
    read = near[by_subject["number 0"]]
    read.set_subdir("cur")
    read.set_flags("FS")
    near[by_subject["number 0"]] = read
    near.remove(by_subject["number 1"])
    near.add(mailbox.MaildirMessage(
        message(user, ANN, "from here").replace("\r\n", "\n")))
    far = imap(server, user)
    far.select("INBOX")
    far.store("3", "+FLAGS", r"(\Deleted)")
    far.expunge()
    far.store("3", "+FLAGS", r"(\Answered)")
    far.append("INBOX", None, None, message(ANN, user, "from there").encode())
    far.logout()
    sync()
    assert sorted(m["Subject"] for m in box()) == [
        "from here", "from there", "number 0", "number 3", "number 4"]
    assert sorted(subjects(server, user)) == [
        "from here", "from there", "number 0", "number 3", "number 4"]
    assert {"\\Seen", "\\Flagged"} <= flags(server, user, "number 0")
    answered = {m["Subject"]: m.get_flags() for m in box()}["number 3"]
    assert "R" in answered


# -- neomutt ---------------------------------------------------------------------

def test_neomutt(server, user, tmp_path):
    """With its header cache, so that the second look is a QRESYNC."""
    fill(server, user, 4)
    rc = tmp_path / "neomuttrc"
    base = f"imaps://127.0.0.1:{server.port('imaps')}"
    setting = (
        f'set imap_user="{user}"\nset imap_pass="{PASSWORD}"\n'
        f'set folder="{base}/"\nset spoolfile="{base}/INBOX"\n'
        f'set certificate_file="{server.certificate()}"\n'
        f'set ssl_ca_certificates_file="{server.certificate()}"\n'
        f'set header_cache="{tmp_path}/cache/"\nset imap_qresync=yes\n'
        'set imap_condstore=yes\nset ssl_verify_host=no\nset quit=yes\n'
        'set delete=yes\nset mark_old=no\nset wait_key=no\nset timeout=5\n'
        'set confirmappend=no\nset confirmcreate=no\n')
    os.makedirs(tmp_path / "cache")

    def session(keys):
        rc.write_text(setting + f'push "{keys}<sync-mailbox><quit>"\n')
        run(["script", "-qec", f"TERM=vt100 neomutt -F {rc} -n", "/dev/null"],
            tmp_path, "")

    session("<tag-pattern>~s 'number 1'<enter><tag-prefix><flag-message>")
    assert "\\Flagged" in flags(server, user, "number 1")
    far = imap(server, user)            # behind its back
    far.select("INBOX")
    far.store("1", "+FLAGS", r"(\Deleted)")
    far.expunge()
    far.logout()
    session("<delete-pattern>~s 'number 2'<enter><tag-pattern>~s 'number 3'"
            "<enter><tag-prefix><save-message>=Kept<enter>")
    assert subjects(server, user) == ["number 1"]
    assert subjects(server, user, "Kept") == ["number 3"]


# -- alpine ----------------------------------------------------------------------

class Terminal:
    """A program on a terminal of its own: what it shows, what is typed."""

    def __init__(self, command, home):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(HOME=str(home), TERM="vt100", LC_ALL="C.UTF-8",
                              LINES="24", COLUMNS="80")
            os.execvp(command[0], command)
        self.shown = ""

    def wait_for(self, text, seconds=30):
        deadline = time.monotonic() + seconds
        while not re.search(text, self.shown):
            left = deadline - time.monotonic()
            ready = select.select([self.fd], [], [], max(left, 0))[0]
            data = b""
            if ready:
                try:
                    data = os.read(self.fd, 65536)
                except OSError:
                    pass
            if not data:
                raise AssertionError(f"no {text!r} in {self.shown[-3000:]!r}")
            self.shown += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][AB0]", " ",
                                 data.decode("utf-8", "replace"))
        self.shown = ""

    def type(self, text):
        os.write(self.fd, text.encode())

    def end(self, seconds=20):
        deadline = time.monotonic() + seconds
        while os.waitpid(self.pid, os.WNOHANG)[0] == 0:
            if select.select([self.fd], [], [], 0.1)[0]:
                try:
                    os.read(self.fd, 65536)
                except OSError:
                    pass
            if time.monotonic() > deadline:
                self.kill()
                raise AssertionError("it does not end")
        os.close(self.fd)

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def test_alpine(server, user, tmp_path):
    fill(server, user, 3)
    rc = tmp_path / "pinerc"
    where = (f"{{127.0.0.1:{server.port('imaps')}/ssl/novalidate-cert"
             f"/user={user}}}")
    rc.write_text(
        f"inbox-path={where}INBOX\nuser-domain={DOMAIN}\n"
        f"folder-collections={where}[]\n"
        "feature-list=quit-without-confirm,expunge-without-confirm,"
        "no-enable-suspend\n"
        "last-version-used=9.99\nsuppress-asterisks-in-password-prompt=yes\n"
        "remote-abook-metafile=\n")
    alpine = Terminal(["alpine", "-p", str(rc), "-i"], tmp_path)
    try:
        alpine.wait_for("(?i)password")
        alpine.type(PASSWORD + "\r")
        alpine.wait_for("Preserve password")
        alpine.type("n")
        alpine.wait_for("(?s)number 0.*number 1.*number 2")
        alpine.type("w")                # where is
        alpine.wait_for("(?i)search|find")
        alpine.type("number 1\r")
        time.sleep(0.5)
        alpine.type("d")                # delete what was found
        alpine.type("x")                # expunge
        eventually(lambda: "number 1" not in subjects(server, user))
        alpine.type("q")
        alpine.end()
    except AssertionError:
        alpine.kill()
        raise
    assert sorted(subjects(server, user)) == ["number 0", "number 2"]


# -- imapflow --------------------------------------------------------------------

@pytest.fixture(scope="module")
def imapflow(tmp_path_factory):
    """Installed beside the test, from its lock file."""
    place = tmp_path_factory.mktemp("imapflow")
    for name in ("package.json", "package-lock.json", "life.js"):
        shutil.copy(f"{HERE}/imapflow/{name}", place)
    run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts",
         "--prefix", str(place)], place, timeout=180)
    return place


def test_imapflow(server, user, imapflow):
    fill(server, user, 5)
    done = run(["node", str(imapflow / "life.js"),
                str(server.port("imaps")), user, PASSWORD], imapflow)
    found = json.loads(done.stdout)
    assert found["exists"] == 5
    assert "QRESYNC" in found["enabled"] or "CONDSTORE" in found["enabled"]
    assert [m[1] for m in found["messages"]] == [
        f"number {n}" for n in range(5)]
    assert all(m[2] == "text/plain" and m[3] for m in found["messages"])
    assert found["source"] == found["messages"][0][4]
    assert found["search"] == [found["messages"][3][0]]
    assert found["appended"] and found["moved"] == 1
    assert found["left"] == 4
    assert [kind for kind, _ in found["events"]].count("expunge") == 2
    assert found["status"]["messages"] == 1
    folders = {path: use for path, use, _ in found["folders"]}
    assert folders["Sent"] == "\\Sent" and "INBOX" in folders
    assert sorted(subjects(server, user)) == [
        "by imapflow", "number 0", "number 2", "number 4"]
    assert subjects(server, user, "Projects/2026") == ["number 1"]
    assert subjects(server, user, "Archive") == ["number 0"]


# -- Thunderbird -----------------------------------------------------------------

class Item(ctypes.Structure):
    """SECItem of NSS."""
    _fields_ = [("type", ctypes.c_uint), ("data", ctypes.c_void_p),
                ("len", ctypes.c_uint)]


def keep_password(profile, origin, user, password):
    """As Thunderbird itself keeps it: encrypted by the profile's key."""
    nss = ctypes.CDLL("libnss3.so")
    assert nss.NSS_InitReadWrite(f"sql:{profile}".encode()) == 0
    nss.PK11_GetInternalKeySlot.restype = ctypes.c_void_p
    slot = ctypes.c_void_p(nss.PK11_GetInternalKeySlot())
    if nss.PK11_NeedUserInit(slot):
        assert nss.PK11_InitPin(slot, None, b"") == 0

    def encrypted(text):
        data = text.encode()
        plain = Item(0, ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p),
                     len(data))
        key, out = Item(0, None, 0), Item(0, None, 0)
        assert nss.PK11SDR_Encrypt(ctypes.byref(key), ctypes.byref(plain),
                                   ctypes.byref(out), None) == 0
        return base64.b64encode(
            ctypes.string_at(out.data, out.len)).decode()

    with open(f"{profile}/logins.json", "w") as f:
        json.dump({"nextId": 2, "logins": [{
            "id": 1, "hostname": origin, "httpRealm": origin,
            "formSubmitURL": None, "usernameField": "", "passwordField": "",
            "encryptedUsername": encrypted(user),
            "encryptedPassword": encrypted(password),
            "guid": "{00000000-0000-4000-8000-000000000001}", "encType": 1,
            "timeCreated": 1, "timeLastUsed": 1, "timePasswordChanged": 1,
            "timesUsed": 1}], "version": 3}, f)
    nss.PK11_FreeSlot(slot)
    assert nss.NSS_Shutdown() == 0


THUNDERBIRD = """
user_pref("mail.accountmanager.accounts", "account1");
user_pref("mail.accountmanager.defaultaccount", "account1");
user_pref("mail.account.account1.server", "server1");
user_pref("mail.account.account1.identities", "id1");
user_pref("mail.identity.id1.fullName", "Client");
user_pref("mail.identity.id1.useremail", "{user}");
user_pref("mail.identity.id1.valid", true);
user_pref("mail.server.server1.type", "imap");
user_pref("mail.server.server1.hostname", "localhost");
user_pref("mail.server.server1.port", {port});
user_pref("mail.server.server1.socketType", 3);
user_pref("mail.server.server1.authMethod", 3);
user_pref("mail.server.server1.userName", "{user}");
user_pref("mail.server.server1.name", "{user}");
user_pref("mail.server.server1.login_at_startup", true);
user_pref("mail.server.server1.check_new_mail", true);
user_pref("mail.server.server1.autosync_offline_stores", true);
user_pref("mail.server.server1.offline_download", true);
user_pref("mail.server.server1.directory", "{profile}/ImapMail/localhost");
user_pref("mail.server.default.autosync_max_age_days", -1);
user_pref("mail.provider.enabled", false);
user_pref("mail.shell.checkDefaultClient", false);
user_pref("mail.spotlight.firstRunDone", true);
user_pref("mail.rights.version", 1);
user_pref("mailnews.start_page.enabled", false);
user_pref("mailnews.start_page_override.mstone", "ignore");
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("datareporting.policy.dataSubmissionPolicyBypassNotification", true);
user_pref("toolkit.telemetry.enabled", false);
user_pref("app.update.enabled", false);
user_pref("app.donation.eoy.version.viewed", 999);
user_pref("extensions.update.enabled", false);
user_pref("network.dns.disablePrefetch", true);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("network.proxy.type", 0);
user_pref("security.OCSP.enabled", 0);
"""


class Screen:
    """Xvfb, on a display that it chooses."""

    def __enter__(self):
        read, write = os.pipe()
        self.process = subprocess.Popen(
            ["Xvfb", "-displayfd", str(write), "-screen", "0", "1024x768x24",
             "-nolisten", "tcp", "-noreset"], pass_fds=[write],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(write)
        with open(read) as answer:
            self.name = ":" + answer.readline().strip()
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(20)


def test_thunderbird_first_sync(server, user, tmp_path):
    """A new profile fetches everything for reading offline; then a message
    that comes while it runs."""
    fill(server, user, 12)
    fill(server, user, 3, "Archive")
    profile = tmp_path / "profile"
    os.makedirs(profile / "ImapMail" / "localhost")
    (profile / "user.js").write_text(THUNDERBIRD.format(
        user=user, port=server.port("imaps"), profile=profile))
    run(["certutil", "-N", "-d", f"sql:{profile}", "--empty-password"],
        tmp_path)
    run(["certutil", "-A", "-d", f"sql:{profile}", "-n", "server", "-t",
         "CTP,C,C", "-i", server.certificate()], tmp_path)
    keep_password(str(profile), "imap://localhost", user, PASSWORD)

    def stored(folder):
        """Message-IDs in what it keeps of the folder."""
        found = set()
        for path in glob.glob(f"{profile}/ImapMail/localhost*/**/{folder}",
                              recursive=True):
            with open(path, errors="replace") as f:
                found |= set(re.findall(r"(?m)^Message-ID: <(.*?)>", f.read()))
        return found

    with Screen() as screen:
        log = open(tmp_path / "log", "w")
        thunderbird = subprocess.Popen(
            ["thunderbird", "--profile", str(profile), "--no-remote"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            env={**os.environ, "HOME": str(tmp_path), "DISPLAY": screen.name,
                 "MOZ_CRASHREPORTER_DISABLE": "1", "GDK_BACKEND": "x11",
                 "LIBGL_ALWAYS_SOFTWARE": "1", "NO_AT_BRIDGE": "1"},
            start_new_session=True)
        try:
            everything = {f"{n}.INBOX@{DOMAIN}" for n in range(12)}
            eventually(lambda: stored("INBOX") >= everything, 120, 0.5)
            connection = imap(server, user)
            connection.append("INBOX", None, None, message(
                ANN, user, "late", extra=f"Message-ID: <late@{DOMAIN}>\r\n")
                .encode())
            connection.logout()
            eventually(lambda: f"late@{DOMAIN}" in stored("INBOX"), 60, 0.5)
        finally:
            os.killpg(thunderbird.pid, signal.SIGTERM)
            try:
                thunderbird.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(thunderbird.pid, signal.SIGKILL)
                thunderbird.wait()
            log.close()
