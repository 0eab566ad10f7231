"""Real mail clients, none written here, through the whole way of a message."""
import email
import imaplib
import itertools
import mailbox
import os
import poplib
import smtplib
import socket
import ssl
import subprocess

import pytest
from harness import DOMAIN, PASSWORD, Postrider, eventually, message

ANN, BOB = f"ann@{DOMAIN}", f"bob@{DOMAIN}"


@pytest.fixture(scope="module")
def server():
    with Postrider() as p:
        yield p


numbers = itertools.count()


@pytest.fixture
def user(server):
    """An account of its own for each test, added while the server runs."""
    address = f"user{next(numbers)}@{DOMAIN}"
    server.add_account(address)
    return address


def run(command, home, input=None, check=True, timeout=60):
    done = subprocess.run(
        command, input=input, text=True, capture_output=True, timeout=timeout,
        stdin=subprocess.DEVNULL if input is None else None,
        env={**os.environ, "HOME": str(home), "LC_ALL": "C.UTF-8"})
    if check and done.returncode != 0:
        raise AssertionError(f"{command}: exit {done.returncode}\n"
                             f"{done.stdout}{done.stderr}")
    return done


def imap(server, user):
    connection = imaplib.IMAP4_SSL("127.0.0.1", server.port("imaps"),
                                   ssl_context=server.tls_context())
    connection.login(user, PASSWORD)
    return connection


def subjects(server, user, folder="INBOX"):
    connection = imap(server, user)
    try:
        connection.select(folder, readonly=True)
        _, found = connection.search(None, "ALL")
        result = []
        for number in found[0].split():
            _, data = connection.fetch(number, "(BODY.PEEK[HEADER])")
            result.append(email.message_from_bytes(data[0][1])["Subject"])
        return result
    finally:
        connection.logout()


def arrives(server, user, subject):
    eventually(lambda: subject in subjects(server, user))


def fill(server, user, count, folder="INBOX"):
    connection = imap(server, user)
    for n in range(count):
        connection.append(folder, None, None, message(
            ANN, user, f"number {n}", f"body {n}\r\n" * (n + 1),
            f"Message-ID: <{n}.{folder}@{DOMAIN}>\r\n").encode())
    connection.logout()


# -- sending -----------------------------------------------------------------

@pytest.mark.parametrize("how", [
    ["--port", "submission", "-tls", "-a", "PLAIN"],
    ["--port", "submission", "-tls", "-a", "LOGIN"],
    ["--port", "submissions", "-tlsc", "-a", "PLAIN"],
    ["--port", "smtp"],
    ["--port", "smtp", "-tls"],
], ids=lambda how: "-".join(how[1:]).replace("--", "-"))
def test_swaks(server, user, tmp_path, how):
    subject = "swaks " + " ".join(how)
    command = ["swaks", "--server", "127.0.0.1", "--port",
               str(server.port(how[1])), "--from", ANN, "--to", user,
               "--header", f"Subject: {subject}", *how[2:]]
    if "-a" in how:
        command += ["-au", ANN, "-ap", PASSWORD]
    run(command, tmp_path)
    arrives(server, user, subject)


def test_swaks_cannot_relay(server, tmp_path):
    done = run(["swaks", "--server", "127.0.0.1", "--port",
                str(server.port("smtp")), "--from", "x@outside.example",
                "--to", "y@elsewhere.example"], tmp_path, check=False)
    assert done.returncode != 0
    assert "550 5.7.1" in done.stdout


def test_curl_sends_and_reads(server, user, tmp_path):
    letter = tmp_path / "letter"
    letter.write_bytes(message(ANN, user, "by curl").encode())
    ca = ["--cacert", server.certificate(), "--connect-to",
          f"localhost:{server.port('submissions')}:127.0.0.1:",
          "-sS", "--max-time", "30"]
    run(["curl", *ca, "--url",
         f"smtps://localhost:{server.port('submissions')}", "-u",
         f"{ANN}:{PASSWORD}", "--mail-from", ANN, "--mail-rcpt", user,
         "-T", str(letter)], tmp_path)
    arrives(server, user, "by curl")
    for url in (f"imaps://localhost:{server.port('imaps')}/INBOX;MAILINDEX=1",
                f"imap://localhost:{server.port('imap')}/INBOX;MAILINDEX=1",
                f"pop3s://localhost:{server.port('pop3s')}/1",
                f"pop3://localhost:{server.port('pop3')}/1"):
        done = run(["curl", "-sS", "--cacert", server.certificate(),
                    "--max-time", "30", "--ssl-reqd", "--url", url, "-u",
                    f"{user}:{PASSWORD}"], tmp_path)
        assert "Subject: by curl" in done.stdout, url


@pytest.mark.parametrize("mechanism", ["scram-sha-256", "scram-sha-1",
                                       "plain", "login"])
def test_msmtp(server, user, tmp_path, mechanism):
    config = tmp_path / "msmtprc"
    config.write_text(
        f"account default\nhost 127.0.0.1\nport {server.port('submission')}\n"
        f"tls on\ntls_starttls on\ntls_trust_file {server.certificate()}\n"
        f"tls_host_override localhost\n"
        f"auth {mechanism}\nuser {ANN}\npassword {PASSWORD}\nfrom {ANN}\n")
    config.chmod(0o600)
    run(["msmtp", "-C", str(config), user], tmp_path,
        message(ANN, user, f"by msmtp {mechanism}").replace("\r\n", "\n"))
    arrives(server, user, f"by msmtp {mechanism}")


def test_smtplib(server, user):
    with smtplib.SMTP("127.0.0.1", server.port("submission")) as s:
        s.starttls(context=server.tls_context())
        s.login(ANN, PASSWORD)
        assert s.has_extn("smtputf8") and s.has_extn("chunking")
        refused = s.sendmail(ANN, [user, f"nobody@{DOMAIN}"],
                             message(ANN, user, "by smtplib"))
        assert refused[f"nobody@{DOMAIN}"][0] == 550
    with smtplib.SMTP_SSL("127.0.0.1", server.port("submissions"),
                          context=server.tls_context()) as s:
        s.login(ANN, PASSWORD)
        s.sendmail(ANN, [user], message(
            ANN, user, "Grüße", "schön\r\n").encode(),
            mail_options=["SMTPUTF8", "BODY=8BITMIME"])
        with pytest.raises(smtplib.SMTPSenderRefused):
            s.sendmail(BOB, [user], message(BOB, user, "forged"))
    arrives(server, user, "by smtplib")


def test_wrong_password(server):
    with smtplib.SMTP_SSL("127.0.0.1", server.port("submissions"),
                          context=server.tls_context()) as s:
        with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
            s.login(BOB, "wrong")
        assert refused.value.smtp_code == 535
    with pytest.raises(imaplib.IMAP4.error):
        imaplib.IMAP4_SSL("127.0.0.1", server.port("imaps"),
                          ssl_context=server.tls_context()).login(BOB, "bad")


# -- IMAP ----------------------------------------------------------------------

def test_imaplib(server, user):
    c = imap(server, user)
    typ, folders = c.list()
    names = b" ".join(folders)
    for use in (b"\\Drafts", b"\\Sent", b"\\Junk", b"\\Trash", b"\\Archive"):
        assert use in names
    assert c.select()[1] == [b"0"]
    text = message(ANN, user, "first", "line\r\n").encode()
    assert c.append("INBOX", "(\\Seen custom)", None, text)[0] == "OK"
    assert c.noop()[0] == "OK"
    assert c.fetch("1", "(FLAGS BODY[])")[1][0][1] == text
    assert b"custom" in c.fetch("1", "(FLAGS)")[1][0]
    assert c.search(None, 'SUBJECT "first"')[1] == [b"1"]
    assert c.search(None, 'SUBJECT "second"')[1] == [b""]
    assert c.create("Work/2026")[0] == "OK"
    assert c.copy("1", "Work/2026")[0] == "OK"
    assert c.rename("Work", "Job")[0] == "OK"
    assert c.status("Job/2026", "(MESSAGES UIDNEXT)")[1][0].endswith(
        b"(MESSAGES 1 UIDNEXT 2)")
    assert c.store("1", "+FLAGS", "\\Deleted")[0] == "OK"
    assert c.expunge()[1] == [b"1"]
    assert c.delete("Job/2026")[0] == "OK"
    assert c.logout()[0] == "BYE"


def test_imaplib_starttls(server, user):
    c = imaplib.IMAP4("127.0.0.1", server.port("imap"))
    assert "LOGINDISABLED" in c.capabilities
    c.starttls(server.tls_context())
    c.login(user.split("@")[0], PASSWORD)      # the default domain
    assert c.select()[0] == "OK"
    c.logout()


def test_isync_two_ways(server, user, tmp_path):
    """Two maildirs through one account: copies, flags, deletions."""
    fill(server, user, 5)
    config = tmp_path / "mbsyncrc"
    text = ""
    for side in "ab":
        os.makedirs(tmp_path / side)
        text += f"""
IMAPAccount {side}
Host 127.0.0.1
Port {server.port("imaps")}
User {user}
Pass "{PASSWORD}"
SSLType IMAPS
CertificateFile {server.certificate()}
AuthMechs PLAIN

IMAPStore {side}-far
Account {side}

MaildirStore {side}-near
Path {tmp_path}/{side}/
Inbox {tmp_path}/{side}/INBOX
SubFolders Verbatim

Channel {side}
Far :{side}-far:
Near :{side}-near:
Patterns *
Create Both
Remove Both
Expunge Both
SyncState *
"""
    config.write_text(text)

    def sync(side):
        return run(["mbsync", "-c", str(config), side], tmp_path)

    def box(side, folder="INBOX"):
        return mailbox.Maildir(str(tmp_path / side / folder), factory=None)

    sync("a")
    sync("b")
    assert len(box("a")) == len(box("b")) == 5
    # a: one new message, one flag, one deletion, one new folder
    there = box("a")
    there.add(mailbox.MaildirMessage(
        message(user, ANN, "from a").replace("\r\n", "\n")))
    by_subject = {m["Subject"]: k for k, m in there.items()}
    flagged = there[by_subject["number 1"]]
    flagged.set_flags("FS")
    there[by_subject["number 1"]] = flagged
    gone = there[by_subject["number 2"]]
    gone.set_flags("ST")
    there[by_subject["number 2"]] = gone
    os.makedirs(tmp_path / "a" / "Projects" / "cur")
    os.makedirs(tmp_path / "a" / "Projects" / "new")
    os.makedirs(tmp_path / "a" / "Projects" / "tmp")
    box("a", "Projects").add(mailbox.MaildirMessage(
        message(user, ANN, "in projects").replace("\r\n", "\n")))
    sync("a")
    sync("b")
    after = {m["Subject"]: m for m in box("b")}
    assert sorted(after) == ["from a", "number 0", "number 1", "number 3",
                             "number 4"]
    assert set(after["number 1"].get_flags()) == set("FS")
    assert [m["Subject"] for m in box("b", "Projects")] == ["in projects"]
    # and back: b deletes two
    there = box("b")
    for key, m in list(there.items()):
        if m["Subject"] in ("number 0", "from a"):
            m.set_flags("ST")
            there[key] = m
    sync("b")
    sync("a")
    assert sorted(m["Subject"] for m in box("a")) == [
        "number 1", "number 3", "number 4"]
    assert sorted(subjects(server, user)) == ["number 1", "number 3",
                                              "number 4"]


def test_mutt(server, user, tmp_path):
    fill(server, user, 3)
    rc = tmp_path / "muttrc"
    base = f"imaps://127.0.0.1:{server.port('imaps')}"
    rc.write_text(
        f'set imap_user="{user}"\nset imap_pass="{PASSWORD}"\n'
        f'set folder="{base}/"\nset spoolfile="{base}/INBOX"\n'
        f'set certificate_file="{server.certificate()}"\n'
        f'set ssl_ca_certificates_file="{server.certificate()}"\n'
        'set ssl_verify_host=no\nset record="=Sent"\nset quit=yes\n'
        'set delete=yes\nset mark_old=no\nset wait_key=no\nset timeout=5\n'
        f'set smtp_url="smtps://{user}@127.0.0.1:'
        f'{server.port("submissions")}/"\nset smtp_pass="{PASSWORD}"\n'
        f'set from="{user}"\nset use_from=yes\nset smtp_authenticators="plain"\n')
    run(["mutt", "-F", str(rc), "-n", "-s", "by mutt", ANN], tmp_path,
        "hello from mutt\n")
    arrives(server, ANN, "by mutt")
    assert subjects(server, user, "Sent") == ["by mutt"]
    # In batch: open the mailbox, delete one, save one elsewhere, leave.
    commands = ('push "<delete-pattern>~s \'number 1\'<enter>'
                '<tag-pattern>~s \'number 2\'<enter><tag-prefix>'
                '<save-message>=Archive<enter><sync-mailbox><quit>"')
    rc.write_text(rc.read_text() + "set confirmappend=no\n" + commands + "\n")
    run(["script", "-qec", f"TERM=vt100 mutt -F {rc} -n", "/dev/null"],
        tmp_path, "")
    assert subjects(server, user) == ["number 0"]
    assert subjects(server, user, "Archive") == ["number 2"]


# -- POP3 ----------------------------------------------------------------------

@pytest.mark.parametrize("keep", [True, False], ids=["keep", "nokeep"])
@pytest.mark.parametrize("protocol", ["pop3", "imap"])
def test_fetchmail(server, user, tmp_path, keep, protocol):
    fill(server, user, 4)
    rc = tmp_path / "fetchmailrc"
    rc.write_text(
        f'poll 127.0.0.1 protocol {protocol} port '
        f'{server.port(protocol + "s")}{" uidl" if protocol == "pop3" else ""}\n'
        f'  user "{user}" password "{PASSWORD}" ssl sslcertfile '
        f'"{server.certificate()}" sslcertck sslcommonname "localhost"\n'
        f'  {"keep" if keep else "nokeep"}'
        f' mda "cat >>{tmp_path}/got"\n')
    rc.chmod(0o600)
    command = ["fetchmail", "-f", str(rc), "-N", "--nosyslog", "--pidfile",
               str(tmp_path / "pid"), "-i", str(tmp_path / "ids"), "--all"
               if not keep else "-v"]
    run(command, tmp_path)
    got = (tmp_path / "got").read_text()
    assert got.count("Subject: number ") == 4
    assert len(subjects(server, user)) == (4 if keep else 0)
    # Again: nothing that was seen comes twice.
    again = run(command, tmp_path, check=False)
    assert again.returncode in (0, 1)           # 1: no new mail
    assert (tmp_path / "got").read_text().count("Subject: number ") == 4


def test_poplib(server, user):
    fill(server, user, 3)
    p = poplib.POP3_SSL("127.0.0.1", server.port("pop3s"),
                        context=server.tls_context())
    p.user(user)
    p.pass_(PASSWORD)
    assert p.stat()[0] == 3
    uids = p.uidl()[1]
    assert len(set(uids)) == 3
    lines = p.retr(2)[1]
    assert b"Subject: number 1" in lines
    assert b"body 1" not in b"".join(p.top(2, 0)[1])
    p.dele(1)
    p.rset()
    p.dele(2)
    assert p.stat()[0] == 2
    p.quit()
    assert subjects(server, user) == ["number 0", "number 2"]
    p = poplib.POP3("127.0.0.1", server.port("pop3"))
    p.stls(context=server.tls_context())
    p.user(user)
    p.pass_(PASSWORD)
    left = [u.split()[1] for u in p.uidl()[1]]
    assert left == [uids[0].split()[1], uids[2].split()[1]]
    p.dele(1)
    p.close()           # no QUIT: nothing is deleted (RFC 1939 section 6)
    assert len(subjects(server, user)) == 2


def test_pop3_and_imap_together(server, user):
    fill(server, user, 4)
    p = poplib.POP3_SSL("127.0.0.1", server.port("pop3s"),
                        context=server.tls_context())
    p.user(user)
    p.pass_(PASSWORD)
    c = imap(server, user)
    c.select()
    c.store("2", "+FLAGS", "\\Deleted")
    c.expunge()                             # gone under POP3's feet
    assert b"Subject: number 0" in p.retr(1)[1]
    with pytest.raises(poplib.error_proto):
        p.retr(2)
    p.dele(1)
    p.dele(3)
    p.quit()
    c.noop()
    assert c.search(None, "ALL")[1] == [b"1"]
    assert b"number 3" in c.fetch("1", "(BODY.PEEK[HEADER])")[1][0][1]
    c.logout()


def test_certificate_is_verified(server):
    context = ssl.create_default_context(cafile=server.certificate())
    with socket.create_connection(("127.0.0.1", server.port("imaps"))) as raw:
        with context.wrap_socket(raw, server_hostname="localhost") as s:
            assert s.version() in ("TLSv1.3", "TLSv1.2")
