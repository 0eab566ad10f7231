"""DKIM of the whole: what leaves is signed with what the DNS shows, and others
verify it; what `dns` prints makes `check` happy, and what is broken it says.
"""
import base64
import contextlib
import json
import os
import re
import shutil
import smtplib
import socket
import ssl
import subprocess
import threading
import time

import dkim
import pytest

from harness import DOMAIN, PASSWORD, Postrider
from internet import Dns

PEER = "peer.test"


class Sink:
    """A mail server that takes everything, byte by byte."""

    def __init__(self, extensions=("8BITMIME", "SIZE 100000000")):
        self.extensions = extensions
        self.came = []
        self.some = threading.Condition()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(s,),
                             daemon=True).start()

    def serve(self, s):
        with s, s.makefile("rwb") as f:
            def say(line):
                f.write(line.encode() + b"\r\n")
                f.flush()

            say("220 mx.peer.test ESMTP")
            for line in f:
                verb = line[:4].upper()
                if verb == b"EHLO":
                    lines = ["mx.peer.test", *self.extensions]
                    for word in lines[:-1]:
                        say("250-" + word)
                    say("250 " + lines[-1])
                elif verb == b"DATA":
                    say("354 go on")
                    self.take(f)
                    say("250 2.0.0 mine")
                elif verb == b"RCPT" and b"nobody@" in line:
                    say("550 5.1.1 nobody of that name")
                elif verb == b"QUIT":
                    say("221 bye")
                    return
                else:
                    say("250 2.0.0 fine")

    def take(self, f):
        text = []
        for line in f:
            if line == b".\r\n":
                break
            text.append(line[1:] if line.startswith(b".") else line)
        with self.some:
            self.came.append(b"".join(text))
            self.some.notify_all()

    def wait(self, count, seconds=60):
        """The messages, when there are so many."""
        with self.some:
            assert self.some.wait_for(lambda: len(self.came) >= count,
                                      seconds), f"{len(self.came)} came"
            return list(self.came)

    def close(self):
        self.listener.close()


@contextlib.contextmanager
def stopped(**how):
    """A server that does not run yet."""
    server = Postrider(accounts=(), **how)
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(server.home, ignore_errors=True)


def published(server, domain=DOMAIN):
    """The lines of `postrider dns` that are to be published."""
    zone = server.cli("dns", domain).stdout
    return "\n".join(line for line in zone.splitlines()
                     if not line.startswith((";", "$"))) + "\n"


def records(server, domain=DOMAIN):
    """TXT records by name, as a verifier's DNS."""
    return {row["name"]: "".join(re.findall(r'"([^"]*)"', row["data"]))
            for row in json.loads(server.cli("dns", domain, "--json").stdout)
            if row["type"] == "TXT"}


PERL = r"""
use Mail::DKIM::Verifier;
use Mail::DKIM::DNS;
{
    no warnings;
    *Mail::DKIM::DNS::query = sub {
        my ($name, $type) = @_;
        my $txt = $ENV{"TXT"};
        return bless { txt => $txt }, "Answer";
    };
}
package Answer { sub type { "TXT" } sub char_str_list { $_[0]{txt} }
    sub txtdata { $_[0]{txt} } }
my $v = Mail::DKIM::Verifier->new();
while (<STDIN>) { $v->PRINT($_); }
$v->CLOSE;
print join(" ", map { $_->algorithm . "=" . $_->result } $v->signatures);
"""


def signatures(message):
    """(algorithm, selector, domain) of each signature, first one first."""
    head = message.split(b"\r\n\r\n")[0].decode("latin-1")
    head = re.sub(r"\r\n[ \t]+", " ", head)
    found = []
    for line in head.split("\r\n"):
        if line.startswith("DKIM-Signature:"):
            tags = dict(re.findall(r"(\w+)=([^;]*)", line))
            found.append((tags["a"], tags["s"], tags["d"]))
    return found


def hold(message, which, dns):
    """The signature of this number verifies; AssertionError: it does not."""
    try:
        good = dkim.DKIM(message).verify(idx=which, dnsfunc=dns)
    except dkim.ValidationError as error:
        raise AssertionError(str(error))
    assert good, message[:3000]


def verify(message, txt):
    """Both signatures hold, for two others."""
    def dns(name, timeout=5):
        return txt[name.decode().rstrip(".") + "."].encode()

    made = signatures(message)
    assert [m[0] for m in made] == ["rsa-sha256", "ed25519-sha256"]
    for i in range(2):
        hold(message, i, dns)
    # Without our Ed25519: that one knows RSA alone.
    rsa = re.sub(rb"DKIM-Signature:[^\n]*ed25519(?:[^\n]*\n)"
                 rb"(?:[ \t][^\n]*\n)*", b"", message, count=1)
    assert len(signatures(rsa)) == 1
    done = subprocess.run(
        ["perl", "-e", PERL], input=rsa, capture_output=True, timeout=60,
        env={**os.environ, "TXT": txt[f"{made[0][1]}._domainkey."
                                      f"{made[0][2]}."]})
    assert done.stdout == b"rsa-sha256=pass", done.stdout + done.stderr


class Outside:
    """The DNS, a peer and a server whose DNS is published."""

    def __init__(self, extensions=("8BITMIME", "SIZE 100000000"), ttl=60):
        self.sink = Sink(extensions)
        self.dns = Dns({DOMAIN: "", PEER: "@ MX 10 mx\nmx A 127.0.0.1\n"},
                       ttl=ttl)

    def __enter__(self):
        try:
            self.dns.start()
            self.server = Postrider(
                settings=self.dns.settings + "\n"
                f"relay {{ port = {self.sink.port}; local_addresses = yes; "
                "mta_sts = no }\n")
            self.publish()
            self.server.start()
        except BaseException:
            self.__exit__(None)
            raise
        return self

    def __exit__(self, *exception):
        try:
            if hasattr(self, "server"):
                open(self.server.log_path, "a").close()
                self.server.__exit__(*(exception or (None,)))
        finally:
            self.dns.__exit__(None)
            self.sink.close()

    def publish(self):
        self.dns.set(DOMAIN, published(self.server) + "mail A 127.0.0.1\n")

    def send(self, message, to=f"x@{PEER}", options=("BODY=8BITMIME",)):
        context = ssl.create_default_context(
            cafile=self.server.certificate())
        context.check_hostname = False
        with smtplib.SMTP_SSL("127.0.0.1", self.server.port("submissions"),
                              context=context, timeout=30) as s:
            s.login(f"ann@{DOMAIN}", PASSWORD)
            assert s.sendmail(f"ann@{DOMAIN}", [to], message,
                              list(options)) == {}


HEAD = (f"From: Ann <ann@{DOMAIN}>\r\nTo: x@{PEER}\r\nSubject: s\r\n"
        "Date: Sat, 21 Nov 2026 12:00:00 +0000\r\nMessage-ID: <1@x>\r\n"
        ).encode()
MIME = (b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
        b"Content-Transfer-Encoding: 8bit\r\n")
MESSAGES = {
    "simple": HEAD + b"\r\nhello\r\n",
    "empty body": HEAD + b"\r\n",
    "blank lines alone": HEAD + b"\r\n\r\n\r\n\r\n",
    "trailing blank lines": HEAD + b"\r\nhello\r\n\r\n \r\n\t\r\n\r\n",
    "blanks": HEAD + b"\r\n  a  b\t c \r\n\t\r\nd \t\r\n",
    "dots": HEAD + b"\r\n.\r\n..\r\n.a\r\n",
    "8 bit": HEAD + MIME + b"\r\n" + "äöü — \u2603\r\n".encode() * 3,
    "long lines": HEAD + b"\r\n" + b"x" * 900 + b"\r\n" + b"y z " * 200 +
        b"\r\n",
    "folded headers": b"X-First: a\r\n\tb\r\n" + HEAD.replace(
        b"Subject: s", b"Subject:   many \r\n\t words,  far \r\n   apart ") +
        b"Cc: a@peer.test,\r\n b@peer.test\r\nReferences:\r\n <a@b>\r\n"
        b" <c@d>\r\n\r\nhello\r\n",
    "a list": b"List-Id: <l.example.test>\r\nList-Unsubscribe: <https://a/>"
        b"\r\nSender: ann@example.test\r\n" + HEAD + b"\r\nhello\r\n",
    "two of a kind": HEAD + b"Comments: a\r\nComments: b\r\nKeywords: c\r\n"
        b"Reply-To: ann@example.test\r\n\r\nhello\r\n",
    "big": HEAD + b"\r\n" + (b"line after line  of it \r\n" * 40 + b"\r\n") *
        5000,
}


def test_others_verify_what_leaves():
    with Outside() as o:
        for i, (name, message) in enumerate(MESSAGES.items()):
            o.send(message)
            came = o.sink.wait(i + 1)[-1]
            assert signatures(came), f"{name}: {came[:2000]}"
            verify(came, records(o.server))
            assert came.startswith(b"DKIM-Signature:"), name


def test_what_was_converted_is_signed_as_it_leaves():
    with Outside(extensions=("SIZE 100000000",)) as o:
        o.send(MESSAGES["8 bit"])
        came = o.sink.wait(1)[0]
        assert all(byte < 128 for byte in came)
        assert b"\r\nContent-Transfer-Encoding: 8bit" not in came
        verify(came, records(o.server))


def test_a_changed_message_does_not_verify():
    with Outside() as o:
        o.send(MESSAGES["simple"])
        came = o.sink.wait(1)[0]
        txt = records(o.server)

        def dns(name, timeout=5):
            return txt[name.decode().rstrip(".") + "."].encode()

        # Another field of a kind that readers act upon, and other words.
        for worse in (came.replace(b"hello", b"hullo"),
                      came.replace(b"\r\nTo:", b"\r\nSubject: new\r\nTo:"),
                      came.replace(b"\r\nTo:", b"\r\nReply-To: e@x\r\nTo:")):
            assert worse != came
            for i in range(2):
                with pytest.raises(AssertionError):
                    hold(worse, i, dns)
            hold(came, i, dns)


def test_a_new_key_signs_when_the_dns_shows_it():
    with Outside(ttl=1) as o:
        o.send(MESSAGES["simple"])
        first = signatures(o.sink.wait(1)[0])
        assert [s[1][-3:] for s in first] == ["rsa", "519"]
        old = first[0][1][:-4]
        o.server.cli("dkim", "rotate", DOMAIN)
        new = json.loads(o.server.cli(
            "dkim", "list", DOMAIN, "--json").stdout)[0]["selector"][:-4]
        assert new != old
        for i in range(3):
            o.send(MESSAGES["simple"])
            came = o.sink.wait(2 + i)[-1]
            assert {s[1].split("-")[0] for s in signatures(came)} == {old}
        o.publish()
        for i in range(40):
            o.send(MESSAGES["simple"])
            came = o.sink.wait(5 + i)[-1]
            now = {s[1].split("-")[0] for s in signatures(came)}
            if now == {new}:
                break
            time.sleep(1)
        assert now == {new}
        verify(came, records(o.server))
        # The ones before it are retired, still in the DNS, not deleted.
        for _ in range(100):
            keys = json.loads(o.server.cli("dkim", "list", "--json").stdout)
            retired = {k["selector"] for k in keys if "retired" in k}
            if len(retired) == 2:
                break
            time.sleep(0.1)
        assert retired == {f"{old}-rsa", f"{old}-ed25519"}
        assert f"{old}-rsa._domainkey" in published(o.server)


def test_nothing_is_signed_with_a_key_nobody_can_see():
    with Outside() as o:
        o.server.cli("domain", "add", "hidden.test")
        o.server.add_account("eve@hidden.test")
        o.send(MESSAGES["simple"])
        assert len(signatures(o.sink.wait(1)[0])) == 2
        context = ssl.create_default_context(
            cafile=o.server.certificate())
        context.check_hostname = False
        with smtplib.SMTP_SSL("127.0.0.1", o.server.port("submissions"),
                              context=context, timeout=30) as s:
            s.login("eve@hidden.test", PASSWORD)
            s.sendmail("eve@hidden.test", [f"x@{PEER}"],
                       MESSAGES["simple"].replace(b"ann@example.test",
                                                  b"eve@hidden.test"))
        assert signatures(o.sink.wait(2)[1]) == []
        assert "dkim_key_not_in_dns domain=hidden.test" in o.server.log()


def from_outside(server, sender, to, author):
    with smtplib.SMTP("127.0.0.1", server.port("smtp"), timeout=30) as s:
        s.sendmail(sender, [to], MESSAGES["simple"].replace(
            f"<ann@{DOMAIN}>".encode(), f"<{author}>".encode()))


def test_what_is_sent_on_and_what_is_made_here():
    with Outside() as o:
        o.server.cli("alias", "add", f"on@{DOMAIN}", f"x@{PEER}")
        o.server.cli("alias", "add", f"gone@{DOMAIN}", f"nobody@{PEER}")
        from_outside(o.server, f"z@{PEER}", f"on@{DOMAIN}", f"z@{PEER}")
        came = o.sink.wait(1)[-1]
        assert {s[2] for s in signatures(came)} == {DOMAIN}
        verify(came, records(o.server))
        # Our signature would make this one look genuine.
        from_outside(o.server, f"z@{PEER}", f"on@{DOMAIN}", f"ann@{DOMAIN}")
        assert signatures(o.sink.wait(2)[-1]) == []
        # A notification of ours that goes out, from the server's own name.
        from_outside(o.server, f"z@{PEER}", f"gone@{DOMAIN}", f"z@{PEER}")
        came = o.sink.wait(3)[-1]
        assert b"MAILER-DAEMON@mail.example.test" in came
        assert {s[2] for s in signatures(came)} == {DOMAIN}
        verify(came, records(o.server))


# ---- dns and check ----------------------------------------------------------

ADDRESS = "5.6.7.8"		# nobody connects to it


def without(pattern):
    return lambda zone: re.sub(rf"^.*{pattern}.*\n", "", zone, flags=re.M)


def instead(old, new):
    return lambda zone: zone.replace(old, new)


FAULTS = {
    # name of the domain: what is done to its zone, what is wrong then
    "fine": (lambda zone: zone, set()),
    "nomx": (without(r"IN MX"), {"mx", "spf-server"}),
    "othermx": (instead("10 mail.example.test.", "10 mx.peer.test."),
                {"mx", "spf-server"}),
    "nospf": (without("v=spf1"), {"spf"}),
    "twospf": (lambda zone: zone + '@ TXT "v=spf1 -all"\n', {"spf-one"}),
    "badspf": (instead("v=spf1 mx", "v=spf1 mx ipv4:1.2.3.4"),
               {"spf-syntax"}),
    "wrongspf": (instead("v=spf1 mx", "v=spf1 ip4:1.2.3.0/24"),
                 {"spf-server"}),
    "includespf": (instead("v=spf1 mx", "v=spf1 include:fine.test"), set()),
    "loopspf": (instead("v=spf1 mx", "v=spf1 include:loopspf.test"),
                {"spf-lookups"}),
    "redirectspf": (instead("v=spf1 mx -all", "v=spf1 redirect=fine.test"),
                    set()),
    "nodkim": (without("_domainkey"), {"dkim"}),
    "otherdkim": (lambda zone: re.sub(
        r"k=ed25519; p=.{8}", "k=ed25519; p=AAAAAAAA", zone),
        {"dkim", "dkim-other"}),
    "nodmarc": (without("_dmarc"), {"dmarc"}),
    "baddmarc": (instead("p=none", "p=nothing"), {"dmarc-syntax"}),
    "twodmarc": (lambda zone: zone + '_dmarc TXT "v=DMARC1; p=none"\n',
                 {"dmarc-one"}),
    "badsts": (lambda zone: zone + '_mta-sts TXT "v=STSv1; id=a-b"\n',
               {"mta-sts-syntax"}),
    "nosts": (lambda zone: zone + '_mta-sts TXT "v=STSv1; id=1"\n',
              {"mta-sts-host"}),
    "badtlsrpt": (instead("v=TLSRPTv1; rua=", "v=TLSRPTv1; to="),
                  {"tls-rpt-syntax"}),
}


def zones_to_be(zones, **how):
    """A DNS not served yet: its zones may still be written."""
    dns = Dns(zones, **how)
    dns.trust_anchor = os.path.join(dns.home, dns.key("") + ".key")
    return dns


def check(server, domain):
    done = server.cli("check", domain, "--json", check=False)
    return done.returncode, json.loads(done.stdout)


def verdicts(answer, verdict):
    return {row["check"] for row in answer["checks"]
            if row["verdict"] == verdict}


def test_check_likes_what_dns_prints_and_sees_what_is_broken():
    dns = zones_to_be({
        DOMAIN: "", PEER: "", **{f"{name}.test": "" for name in FAULTS},
        "5.in-addr.arpa": "8.7.6 PTR mail.example.test.\n"})
    server = Postrider(accounts=(), settings=dns.settings)
    dns.zones[DOMAIN] = published(server) + f"mail A {ADDRESS}\n"
    for name, (spoil, _) in FAULTS.items():
        server.cli("domain", "add", f"{name}.test")
        zone = published(server, f"{name}.test")
        # The server's own records are in another zone.
        assert "TLSA" not in zone
        dns.zones[f"{name}.test"] = spoil(zone)
    with dns, server:
        status, answer = check(server, DOMAIN)
        print(server.cli("check", DOMAIN).stdout)
        assert (status, verdicts(answer, "WRONG")) == (0, set()), answer
        assert verdicts(answer, "unknown") == set()
        assert verdicts(answer, "better") == {"dmarc-policy", "mta-sts"}
        assert {"mx", "dnssec", "host", "ptr", "ptr-name", "spf",
                "spf-server", "spf-all", "host-spf", "dkim", "dmarc",
                "dane", "dane-key", "dane-signed", "tls-rpt",
                "client"} <= verdicts(answer, "ok")
        for name, (_, wrong) in FAULTS.items():
            status, answer = check(server, f"{name}.test")
            assert verdicts(answer, "WRONG") == wrong, (name, answer)
            assert status == (1 if wrong else 0), name
            assert verdicts(answer, "unknown") == set(), name


def test_check_when_the_certificate_has_changed():
    dns = zones_to_be({DOMAIN: "", "5.in-addr.arpa": ""})
    server = Postrider(accounts=(), settings=dns.settings)
    dns.zones[DOMAIN] = re.sub("3 1 1 .{8}", "3 1 1 00000000", published(
        server)) + f"mail A {ADDRESS}\n"
    with dns, server:
        status, answer = check(server, DOMAIN)
        assert status == 1
        assert verdicts(answer, "WRONG") == {"dane-key", "ptr"}


def test_check_when_the_zone_is_broken():
    dns = zones_to_be({DOMAIN: ""}, bogus=(DOMAIN,))
    server = Postrider(accounts=(), settings=dns.settings)
    dns.zones[DOMAIN] = published(server) + f"mail A {ADDRESS}\n"
    with dns, server:
        status, answer = check(server, DOMAIN)
        assert status == 1
        assert verdicts(answer, "WRONG") == {"dnssec-broken"}


def test_check_when_the_dns_is_silent():
    with Postrider(accounts=(), settings='resolver { timeout = 1s; '
                   'servers = "127.0.0.1@1" }') as server:
        status, answer = check(server, DOMAIN)
        assert status == 75
        assert "mx" in verdicts(answer, "unknown")


def test_check_asks_a_running_server():
    with stopped() as server:
        done = server.cli("check", DOMAIN, check=False)
        assert done.returncode == 69
        assert "no server runs" in done.stderr
        done = server.cli("check", "nobody.test", check=False)
        assert done.returncode == 68
        assert server.cli("check", DOMAIN, "--repair",
                          check=False).returncode == 64
        assert "0 found" in server.cli("check").stdout


def test_keys_come_and_go_with_their_domain():
    with stopped() as server:
        folder = os.path.join(server.data, "dkim")
        assert os.listdir(folder) == [DOMAIN]
        assert os.stat(folder).st_mode & 0o777 == 0o700
        server.cli("domain", "add", "Second.Test")
        assert sorted(os.listdir(folder)) == [DOMAIN, "second.test"]
        for name in os.listdir(os.path.join(folder, DOMAIN)):
            path = os.path.join(folder, DOMAIN, name)
            assert os.stat(path).st_mode & 0o777 == 0o600
        assert server.cli("reload", check=False).returncode == 69
        copy = os.path.join(server.home, "copy")
        server.cli("backup", copy)
        assert sorted(os.listdir(os.path.join(copy, "dkim"))) == \
            [DOMAIN, "second.test"]
        server.cli("domain", "remove", "second.test")
        assert os.listdir(folder) == [DOMAIN]
        server.start()
        server.cli("reload")
        for _ in range(100):
            if "supervisor.reloaded" in server.log():
                break
            time.sleep(0.05)
        assert "supervisor.reloaded" in server.log()


def test_keys_are_made_by_the_clock():
    def keys():
        return json.loads(server.cli("dkim", "list", "--json").stdout)

    with stopped(settings="dkim { rotate = 1s }") as server:
        assert len(keys()) == 2
        time.sleep(1.1)		# they are that old now
        server.start()
        for _ in range(100):
            if "event=dkim.publish" in server.log():
                break
            time.sleep(0.1)
        assert f"event=dkim.publish domain={DOMAIN}" in server.log()
        assert len(keys()) == 4
        # Nobody has published those: no more are made.
        time.sleep(1.1)
        server.restart()
        assert len(keys()) == 4


@pytest.mark.parametrize("hostname", [None, "mx.elsewhere.test"])
def test_what_dns_prints_is_a_zone(hostname):
    with stopped() as server:
        if hostname:
            with open(server.config) as f:
                text = f.read()
            with open(server.config, "w") as f:
                f.write(text.replace("mail.example.test", hostname))
        path = os.path.join(server.home, "zone")
        with open(path, "w") as f:
            f.write("$ORIGIN example.test.\n$TTL 60\n"
                    "@ SOA ns hostmaster 1 2 3 4 5\n@ NS ns\n"
                    "ns A 192.0.2.1\nmail A 192.0.2.1\n" +
                    server.cli("dns", DOMAIN).stdout)
        done = subprocess.run(["/usr/sbin/nsd-checkzone", DOMAIN, path],
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_key_of_ones_own_signs():
    """A key of a server before this one, put where keys are."""
    with Outside(ttl=1) as o:
        path = os.path.join(o.server.data, "dkim", DOMAIN)
        key = subprocess.run(
            ["openssl", "genrsa", "-traditional", "1024"], check=True,
            capture_output=True).stdout
        public = subprocess.run(
            ["openssl", "rsa", "-pubout", "-outform", "DER"], input=key,
            check=True, capture_output=True).stdout
        for name in os.listdir(path):
            os.unlink(os.path.join(path, name))
        with open(os.path.join(path, "mail.2020.pem"), "wb") as f:
            f.write(key)
        zone = published(o.server)
        assert base64.b64encode(public).decode() in zone
        o.publish()
        o.server.cli("reload")
        for i in range(40):
            o.send(MESSAGES["simple"])
            made = signatures(o.sink.wait(i + 1)[-1])
            if made == [("rsa-sha256", "mail.2020", DOMAIN)]:
                break
            time.sleep(1)
        assert made == [("rsa-sha256", "mail.2020", DOMAIN)]
