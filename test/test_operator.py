"""The operator's side: commands, reload, stop, users, metrics, logs."""
import csv
import imaplib
import json
import mailbox
import os
import pwd
import re
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import time
import urllib.request

import pytest
from harness import (DOMAIN, PASSWORD, POSTRIDER, Postrider, eventually,
                     message)

ANN, BOB = f"ann@{DOMAIN}", f"bob@{DOMAIN}"


def imap(server, user=ANN, password=PASSWORD):
    c = imaplib.IMAP4_SSL("127.0.0.1", server.port("imaps"),
                          ssl_context=server.tls_context())
    c.login(user, password)
    return c


def send(server, to, subject="hello", sender="x@outside.example", extra=""):
    with smtplib.SMTP("127.0.0.1", server.port("smtp")) as s:
        return s.sendmail(sender, to, message(sender, "y@z.example", subject,
                                              extra=extra))


def count(server, user=ANN, folder="INBOX"):
    c = imap(server, user)
    try:
        return int(c.select(folder, readonly=True)[1][0])
    finally:
        c.logout()


@pytest.fixture(scope="module")
def server():
    with Postrider() as p:
        yield p


# -- commands -------------------------------------------------------------------

COMMANDS = [[], *(c.split() for c in """run; init; reload; status;
    domain add; domain list; domain remove; dns; dkim list; dkim rotate;
    account add; account list; account remove; account password;
    account forward; account limit; alias add; alias list; alias remove;
    group set; group join; group leave; group list; group remove;
    mask add; mask list; mask kill; mask revive;
    shared add; shared list; shared remove; acl; acl set; acl remove;
    suppress add; suppress list; suppress remove;
    queue list; queue table; queue show; queue retry; queue flush;
    queue hold; queue release; queue return; queue delete; trace;
    tls-report; import; export; backup; restore; check""".split(";"))]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help(words):
    done = subprocess.run([POSTRIDER, *words, "--help"], capture_output=True,
                          text=True, stdin=subprocess.DEVNULL, timeout=10)
    assert done.returncode == 0
    assert "postrider " + " ".join(words) in done.stdout + " "
    assert done.stderr == ""


def test_mistakes_have_their_exit_codes(server, tmp_path):
    assert server.cli("nonsense", check=False).returncode == 64
    assert server.cli("account", "add", check=False).returncode == 64
    assert server.cli("status", "--nonsense", check=False).returncode == 64
    assert server.cli("account", "remove", f"nobody@{DOMAIN}",
                      check=False).returncode == 67
    assert server.cli("init", DOMAIN, check=False).returncode == 73
    nowhere = subprocess.run([POSTRIDER, "status", "--data",
                              str(tmp_path / "nowhere")], capture_output=True)
    assert nowhere.returncode == 66
    bad = tmp_path / "bad.conf"
    bad.write_text("smtp { max_recipients = -5; }\n")
    wrong = subprocess.run([POSTRIDER, "run", "--data", server.data,
                            "--config", str(bad)], capture_output=True,
                           text=True, timeout=20)
    assert wrong.returncode == 78
    assert "max_recipients" in wrong.stderr + wrong.stdout


def test_domains_accounts_aliases(server):
    server.cli("domain", "add", "second.example")
    names = json.loads(server.cli("domain", "list", "--json").stdout)
    assert "second.example" in json.dumps(names)
    server.add_account("carl@second.example")
    assert "carl@second.example" in server.cli("account", "list").stdout
    assert server.cli("account", "add", "carl@second.example",
                      "--password-stdin", input="x\n",
                      check=False).returncode != 0
    assert server.cli("account", "add", "x@third.example", "--password-stdin",
                      input="long enough\n", check=False).returncode != 0
    server.cli("alias", "add", f"staff@{DOMAIN}", ANN, BOB)
    server.cli("alias", "add", "@second.example", "carl@second.example")
    assert f"staff@{DOMAIN}" in server.cli("alias", "list").stdout
    ann, bob = count(server, ANN), count(server, BOB)
    send(server, [f"staff@{DOMAIN}", ANN, f"ann+tag@{DOMAIN}"], "to staff")
    send(server, ["anybody@second.example"], "to anybody")
    eventually(lambda: count(server, "carl@second.example") == 1)
    eventually(lambda: (count(server, ANN), count(server, BOB))
               == (ann + 1, bob + 1))
    # a loop of aliases is refused, or at least never followed
    server.cli("alias", "add", f"loop1@{DOMAIN}", ANN)
    server.cli("alias", "add", f"loop2@{DOMAIN}", f"loop1@{DOMAIN}")
    server.cli("alias", "remove", f"loop1@{DOMAIN}")
    assert server.cli("alias", "add", f"loop1@{DOMAIN}", f"loop2@{DOMAIN}",
                      check=False).returncode != 0
    server.cli("alias", "remove", f"loop2@{DOMAIN}")
    assert server.cli("domain", "remove", "second.example",
                      check=False).returncode != 0
    server.cli("alias", "remove", "@second.example")
    server.cli("account", "remove", "carl@second.example")
    server.cli("domain", "remove", "second.example")
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        send(server, ["carl@second.example"])


def test_accounts_from_csv(server, tmp_path):
    path = tmp_path / "accounts.csv"
    with open(path, "w", newline="") as f:
        csv.writer(f).writerows(
            [[f"csv{n}@{DOMAIN}", f'pass,"{n}" wörd'] for n in range(5)])
    server.cli("account", "add", "--csv", str(path))
    c = imaplib.IMAP4_SSL("127.0.0.1", server.port("imaps"),
                          ssl_context=server.tls_context())
    c.authenticate("PLAIN", lambda _: f'\0csv3@{DOMAIN}\0pass,"3" wörd'
                   .encode())
    c.logout()
    listed = json.loads(server.cli("account", "list", "--json").stdout)
    assert sum("csv" in json.dumps(a) for a in listed) == 5


def test_a_new_password_ends_open_sessions(server):
    server.add_account(f"dora@{DOMAIN}")
    c = imap(server, f"dora@{DOMAIN}")
    server.cli("account", "password", f"dora@{DOMAIN}", "--password-stdin",
               input="another one entirely\n")
    with pytest.raises(imaplib.IMAP4.error):
        for _ in range(3):
            typ, data = c.select()
            if typ != "OK":
                raise imaplib.IMAP4.error(data)
    with pytest.raises(imaplib.IMAP4.error):
        imap(server, f"dora@{DOMAIN}")
    imap(server, f"dora@{DOMAIN}", "another one entirely").logout()


def test_status_and_queue(server):
    assert "queue" in server.cli("status").stdout.lower()
    assert isinstance(json.loads(server.cli("status", "--json").stdout), dict)
    assert json.loads(server.cli("queue", "list", "--json").stdout) == []
    assert server.cli("queue", "show", "NOSUCHID", check=False).returncode != 0


def test_trace_tells_the_whole_way(server):
    send(server, [ANN, BOB], "traced",
         extra="Message-ID: <traced@outside.example>\r\n")
    text = eventually(lambda: (lambda t: t if t.count("delivered") >= 2 else 0)(
        server.cli("trace", "<traced@outside.example>", check=False).stdout))
    assert "accepted" in text and ANN in text and BOB in text
    assert "127.0.0.1" in text
    rows = json.loads(server.cli("trace", "<traced@outside.example>",
                                 "--json").stdout)
    queue_id = rows[0]["queue_id"]
    assert queue_id in server.log()
    assert "delivered" in server.cli("trace", queue_id).stdout
    assert server.cli("trace", "<no@such.example>",
                      check=False).returncode != 0


def make_maildir(path):
    """A Maildir++ tree as Dovecot keeps it."""
    box = mailbox.Maildir(str(path))
    for n in range(10):
        m = mailbox.MaildirMessage(
            f"Subject: imported {n}\nFrom: <x@y.example>\n\nbody {n}\n")
        m.set_subdir("cur")
        m.set_flags("S" if n % 2 else "FR")
        m.set_date(1000000000 + n)
        box.add(m)
    work = box.add_folder("Work.Entw&APw-rfe")
    work.add(mailbox.MaildirMessage("Subject: draft\n\nx\n"))


def test_import_and_export(server, tmp_path):
    make_maildir(tmp_path / "in")
    user = f"import@{DOMAIN}"
    server.add_account(user)
    server.cli("import", "maildir", user, str(tmp_path / "in"))
    assert count(server, user) == 10
    c = imap(server, user)
    c.select()
    assert len(c.search(None, "SEEN")[1][0].split()) == 5
    assert len(c.search(None, "FLAGGED ANSWERED")[1][0].split()) == 5
    assert b" 9-Sep-2001" in c.fetch("1", "INTERNALDATE")[1][0]
    assert any(b"Entw&APw-rfe" in f for f in c.list()[1])
    c.logout()
    box = mailbox.mbox(str(tmp_path / "one.mbox"))
    for n in range(7):
        box.add(mailbox.mboxMessage(
            f"Subject: from mbox {n}\n\nFrom here on\n>From quoted\n"))
    box.close()
    server.cli("import", "mbox", user, str(tmp_path / "one.mbox"),
               "--mailbox", "Old/Mbox")
    assert count(server, user, "Old/Mbox") == 7
    out = tmp_path / "out"
    server.cli("export", "maildir", user, str(out))
    again = mailbox.Maildir(str(out), factory=None)
    assert len(again) == 10
    assert {m["Subject"] for m in again} == {f"imported {n}" for n in range(10)}
    assert sum("S" in m.get_flags() for m in again) == 5
    server.cli("export", "mbox", user, str(tmp_path / "out.mbox"),
               "--mailbox", "Old/Mbox")
    assert len(mailbox.mbox(str(tmp_path / "out.mbox"))) == 7


def test_backup_online_and_restore(server, tmp_path):
    send(server, [ANN], "before the backup")
    eventually(lambda: server.cli("queue", "list", "--json").stdout.strip()
               == "[]")
    had = count(server)
    server.cli("backup", str(tmp_path / "backup"))
    send(server, [ANN], "after the backup")
    with Postrider(()) as other:
        other.stop()
        shutil.rmtree(other.data)
        other.cli("restore", str(tmp_path / "backup"))
        other.start()
        assert count(other) == had
    assert server.cli("check").returncode == 0


def test_check_repairs_nothing_that_is_well(server):
    done = server.cli("check", "--repair", "--json")
    assert json.loads(done.stdout)["found"] == 0


# -- reload, stop, users ---------------------------------------------------------------

def test_reload_keeps_sessions():
    with Postrider() as server:
        c = imap(server)
        c.select()
        old = ssl.get_server_certificate(("127.0.0.1", server.port("imaps")))
        with open(server.config, "a") as f:
            f.write("\nsmtp { max_recipients = 1; }\n")
        folder = os.path.dirname(server.certificate())
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes",
             "-days", "9", "-subj", "/CN=localhost", "-addext",
             "subjectAltName=DNS:localhost", "-keyout",
             f"{folder}/new.key", "-out", f"{folder}/new.pem"],
            check=True, capture_output=True)
        key = os.path.join(folder, "key.pem")
        owner = os.stat(key)
        os.chown(f"{folder}/new.key", owner.st_uid, owner.st_gid)
        os.chmod(f"{folder}/new.key", 0o600)
        os.rename(f"{folder}/new.key", key)
        os.rename(f"{folder}/new.pem", server.certificate())
        before = server.role_pids()
        server.process.send_signal(signal.SIGHUP)
        eventually(lambda: ssl.get_server_certificate(
            ("127.0.0.1", server.port("imaps"))) != old)
        assert server.role_pids() == before
        assert c.noop()[0] == "OK"          # the old session goes on
        assert c.append("INBOX", None, None, b"Subject: x\r\n\r\n")[0] == "OK"
        c.logout()

        def two_recipients():
            return send(server, [ANN, BOB]).get(BOB, (0,))[0] == 452
        eventually(two_recipients)
        imap(server).logout()               # a handshake with the RSA key
        # A broken configuration changes nothing.
        with open(server.config, "a") as f:
            f.write("\nnonsense = {;\n")
        server.process.send_signal(signal.SIGHUP)
        time.sleep(0.5)
        assert two_recipients()


def test_sessions_are_shared_among_processes():
    """Nobody has them all because it was the first to listen."""
    with Postrider(settings="roles { access = 3; }") as server:
        sessions = [imap(server) for _ in range(12)]
        assert len(server.role_pids()["access"]) == 3
        eventually(lambda: len(set(re.findall(
            r"pid=(\d+) event=imap\.login", server.log()))) == 3)
        for session in sessions:
            session.logout()


def test_stop_is_graceful():
    with Postrider() as server:
        with smtplib.SMTP("127.0.0.1", server.port("smtp")) as s:
            s.noop()
            c = imap(server)
            server.process.send_signal(signal.SIGTERM)
            s.sock.settimeout(10)
            data = s.sock.recv(1000)
            assert data.startswith(b"421 ") or data == b""
            assert c.sock.recv(1000).startswith(b"* BYE")
        assert server.process.wait(15) == 0
        server.process = None


def test_two_on_one_data_directory(server):
    second = subprocess.run([POSTRIDER, "run", "--data", server.data,
                             "--port-offset", "1"], capture_output=True,
                            text=True, timeout=20)
    assert second.returncode != 0
    assert "already" in second.stderr + second.stdout


def test_root_is_given_up(server):
    """Started by root, every role but the supervisor is somebody else."""
    if os.getuid() != 0:
        pytest.skip("only root can give up being root")
    for role, pids in server.role_pids().items():
        for pid in pids:
            with open(f"/proc/{pid}/status") as f:
                status = f.read()
            assert re.search(r"^Uid:\s+0\b", status, re.M) is None, role
            assert re.search(r"^Seccomp:\s+2$", status, re.M), role
            assert re.search(r"^NoNewPrivs:\s+1$", status, re.M), role
            assert re.search(r"^CapEff:\s+0+$", status, re.M), role


def test_as_an_ordinary_user(tmp_path):
    who = {}
    if os.getuid() == 0:
        user = pwd.getpwnam("nobody")
        who = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    home = tmp_path / "home"
    home.mkdir()
    for parent in [home, *home.parents]:
        mode = parent.stat().st_mode
        if mode & 0o055 != 0o055:
            parent.chmod(mode | 0o055)
    if who:
        os.chown(home, user.pw_uid, user.pw_gid)
    program = shutil.copy(POSTRIDER, tmp_path / "postrider")
    os.chmod(program, 0o755)
    data = str(home / "data")

    def as_nobody(*words, **more):
        return subprocess.run(
            [program, *words, "--data", data], capture_output=True, text=True,
            timeout=60, **who, **more)
    assert as_nobody("init", DOMAIN).returncode == 0
    assert as_nobody("account", "add", ANN, "--password-stdin",
                     input=PASSWORD + "\n").returncode == 0
    with Postrider(()) as borrowed:         # for its ports and waiting
        borrowed.stop()
        borrowed.data = data
        with open(borrowed.log_path, "ab") as log:
            borrowed.process = subprocess.Popen(
                [program, "run", "--data", data, "--port-offset",
                 str(borrowed.offset)], stdout=log, stderr=log,
                stdin=subprocess.DEVNULL, **who)
        borrowed.wait_ready()
        send(borrowed, [ANN])
        eventually(lambda: count(borrowed) == 1)
        for role, pids in borrowed.role_pids().items():
            for pid in pids:
                with open(f"/proc/{pid}/status") as f:
                    assert "Seccomp:\t2" in f.read(), role


def test_sd_notify(tmp_path):
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(path)
        s.settimeout(15)
        os.environ["NOTIFY_SOCKET"] = path
        try:
            with Postrider():
                heard = s.recv(1000)
                while b"READY=1" not in heard:
                    heard = s.recv(1000)
            heard = s.recv(1000)
            while b"STOPPING=1" not in heard:
                heard = s.recv(1000)
        finally:
            del os.environ["NOTIFY_SOCKET"]


# -- metrics and logs --------------------------------------------------------------

def test_metrics(server):
    send(server, [ANN])
    with urllib.request.urlopen(
            f"http://127.0.0.1:{server.port('metrics')}/metrics",
            timeout=10) as answer:
        text = answer.read().decode()
    assert re.search(r"^# TYPE postrider_\w+ counter$", text, re.M)
    assert re.search(r"^postrider_\w*(accepted|messages)\w*(\{.*\})? [1-9]",
                     text, re.M)


def test_log_lines(server):
    send(server, [ANN], "in the log")
    eventually(lambda: "queue_id=" in server.log())
    for line in server.log().splitlines():
        assert re.match(r"\S+ .*\b(role|event)=", line) or "=" in line, line


def test_log_as_json():
    with Postrider(settings='log { format = "json"; }') as server:
        send(server, [ANN])
        eventually(lambda: count(server) == 1)
        lines = [l for l in server.log().splitlines() if l.startswith("{")]
        events = [json.loads(line) for line in lines]
        assert any("accepted" in e["event"] for e in events)


# -- the manual ----------------------------------------------------------------------

def manual(page):
    path = os.path.join(os.path.dirname(os.path.dirname(
        os.path.abspath(__file__))), "docs", page)
    done = subprocess.run(["man", "-l", "-Tutf8", path], capture_output=True,
                          text=True, env={**os.environ, "MANWIDTH": "78",
                                          "LC_ALL": "C.UTF-8"})
    text = re.sub(r"\x1b\[[0-9;]*m|.\x08", "", done.stdout)
    return text.replace("\u2010", "-").replace("\u2212", "-")


@pytest.mark.parametrize("words", [c for c in COMMANDS if c],
                         ids=" ".join)
def test_the_manual_has_every_command_and_option(words):
    page = manual("postrider.1")
    help_text = subprocess.run([POSTRIDER, *words, "--help"],
                               capture_output=True, text=True).stdout
    assert " ".join(words) in page
    for option in re.findall(r"--[a-z-]+", help_text):
        assert option in page, option
