"""What other systems ask of TLS, and what they get: DANE, MTA-STS, REQUIRETLS,
reports. A signed DNS, mail servers and policy hosts of our own with
certificates of our own; everything on loopback.
"""
import base64
import contextlib
import email
import gzip
import hashlib
import http.server
import imaplib
import json
import os
import re
import smtplib
import socket
import ssl
import subprocess
import tempfile
import threading
import time

import dkim
import pytest
from harness import (DOMAIN, PASSWORD, Postrider, eventually, has_field,
                     message)
from internet import Dns, free_port

WEB = "127.0.9.1"


# -- certificates ----------------------------------

class Authority:
    """An authority and what it signs, made by openssl."""

    def __init__(self, home):
        self.home = home
        self.ca = os.path.join(home, "ca.pem")
        self.key = os.path.join(home, "ca.key")
        self.run("req", "-x509", "-newkey", "ec", "-pkeyopt",
                 "ec_paramgen_curve:P-256", "-nodes", "-keyout", self.key,
                 "-out", self.ca, "-days", "100", "-subj", "/CN=Test CA")

    def run(self, *arguments):
        done = subprocess.run(["openssl", *arguments], cwd=self.home,
                              capture_output=True)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    def issue(self, *names, expired=False):
        """The path of chain and key in one file."""
        base = os.path.join(self.home, hashlib.sha256(
            f"{names}{expired}".encode()).hexdigest()[:16])
        path = base + ".pem"
        if os.path.exists(path):
            return path
        with open(base + ".ext", "w") as f:
            f.write("subjectAltName=" + ",".join(f"DNS:{n}" for n in names))
        self.run("req", "-newkey", "ec", "-pkeyopt",
                 "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                 base + ".key", "-out", base + ".csr", "-subj", "/CN=x")
        # A certificate can be born expired only with its dates given.
        dates = ["-days", "-1"] if expired else ["-days", "50"]
        self.run("x509", "-req", "-in", base + ".csr", "-CA", self.ca,
                 "-CAkey", self.key, "-CAcreateserial", *dates, "-extfile",
                 base + ".ext", "-out", base + ".crt")
        with open(path, "w") as f:
            for part in (base + ".crt", self.ca, base + ".key"):
                with open(part) as g:
                    f.write(g.read())
        return path

    def tlsa(self, path, usage=3, selector=1):
        """TLSA data: of the key of the first certificate, or all of it."""
        if selector == 0:
            der = self.run("x509", "-in", path, "-outform", "DER")
        else:
            pem = self.run("x509", "-in", path, "-noout", "-pubkey")
            der = base64.b64decode(b"".join(pem.splitlines()[1:-1]))
        return f"{usage} {selector} 1 {hashlib.sha256(der).hexdigest()}"


# -- peers ----------------------------------

class Mx:
    """A mail server that offers STARTTLS and keeps what it gets."""

    def __init__(self, address, port, certificate, extensions=()):
        self.extensions = extensions
        self.mail = []			# (MAIL, [RCPT], text, TLS version)
        self.socket = socket.create_server((address, port))
        self.use(certificate)
        threading.Thread(target=self.serve, daemon=True).start()

    def use(self, certificate):
        self.context = None
        if certificate is not None:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(certificate)

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.socket.accept()
                threading.Thread(target=self.session, args=(client,),
                                 daemon=True).start()

    def session(self, client):
        client.settimeout(30)
        with contextlib.suppress(OSError, ssl.SSLError):
            with client:
                self.talk(client)

    def talk(self, s):
        f = s.makefile("rb")
        s.sendall(b"220 mx ESMTP\r\n")
        tls, sender, to = None, None, []
        while line := f.readline().decode().strip():
            verb = line.upper()
            answer = "250 2.0.0 fine"
            if verb.startswith("EHLO"):
                offers = ["mx", "PIPELINING", *self.extensions]
                if tls is None and self.context is not None:
                    offers.append("STARTTLS")
                answer = "\r\n".join(
                    f"250{'-' if i + 1 < len(offers) else ' '}{o}"
                    for i, o in enumerate(offers))
            elif verb == "STARTTLS":
                s.sendall(b"220 go on\r\n")
                s = self.context.wrap_socket(s, server_side=True)
                f = s.makefile("rb")
                tls = s.version()
                continue
            elif verb.startswith("MAIL"):
                sender, to = line, []
            elif verb.startswith("RCPT"):
                if "<NOBODY@" in verb:
                    answer = "550 5.1.1 nobody"
                else:
                    to.append(line)
            elif verb == "DATA" and not to:
                answer = "554 5.5.1 to whom?"
            elif verb == "DATA":
                s.sendall(b"354 go on\r\n")
                text = b""
                while not text.endswith(b"\r\n.\r\n"):
                    text += f.read1(65536)
                self.mail.append((sender, to, text[:-3], tls))
            elif verb == "QUIT":
                s.sendall(b"221 2.0.0 bye\r\n")
                return
            s.sendall(answer.encode() + b"\r\n")

    def got(self, subject):
        return next((m for m in list(self.mail) if
                     f"Subject: {subject}\r\n".encode() in m[2]), None)

    def close(self):
        self.socket.close()


class Web:
    """A web server for policies and posted reports, by Host."""

    def __init__(self, address, port, certificate):
        self.files, self.odd, self.asked, self.posted = {}, {}, [], []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def host(self):
                return self.headers["Host"].split(":")[0]

            def do_GET(self):
                outer.asked.append(self.host())
                if self.host() in outer.odd:
                    self.wfile.write(outer.odd[self.host()])
                    self.close_connection = True
                    return
                found = outer.files.get((self.host(), self.path))
                self.send_response(200 if found else 404)
                body = (found or "nothing").encode()
                self.send_header("Content-Type", "text/plain; charset=x")
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                for i in range(0, len(body), 10):
                    part = body[i:i + 10]
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
                self.wfile.write(b"0\r\n\r\n")

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.posted.append((self.host(), self.path,
                                     self.headers["Content-Type"], body))
                self.send_response(404 if self.path == "/gone" else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, *_):
                pass

        self.server = Server((address, port), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self.server.socket = context.wrap_socket(
            self.server.socket, server_side=True,
            do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever,
                         daemon=True).start()

    def policy(self, domain, mode, *mx, max_age=86400):
        lines = ["version: STSv1", f"mode: {mode}",
                 *(f"mx: {m}" for m in mx), f"max_age: {max_age}"]
        self.files[f"mta-sts.{domain}", "/.well-known/mta-sts.txt"] = \
            "\r\n".join(lines) + "\r\n"

    def close(self):
        self.server.shutdown()
        self.server.server_close()


# -- the world ----------------------------------

# domain: (is its zone signed, certificate's names or None, is it expired)
DOMAINS = {
    "dane.test": (True, ["other.test"], False),
    "danename.test": (True, ["mx.danename.test"], False),
    "danewrong.test": (True, ["mx.danewrong.test"], False),
    "daneno.test": (True, None, False),
    "unusable.test": (True, ["other.test"], False),
    "bogus.test": (True, ["mx.bogus.test"], False),
    "unsigned.test": (False, ["other.test"], False),
    "enforce.test": (False, ["mx.enforce.test"], False),
    "wrongmx.test": (False, ["mx.wrongmx.test"], False),
    "expired.test": (False, ["mx.expired.test"], True),
    "testing.test": (False, ["other.test"], False),
    "kept.test": (False, ["mx.kept.test"], False),
    "badpolicy.test": (False, ["mx.badpolicy.test"], False),
    **{f"odd{i}.test": (False, ["other.test"], False) for i in range(6)},
    "requires.test": (True, ["mx.requires.test"], False),
    "reports.test": (True, None, False),
    "gone.test": (False, None, False),
}


FINE = b"version: STSv1\nmode: enforce\nmx: nowhere.test\nmax_age: 9999\n"


def answer(status, kind, body, extra=""):
    return (f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{extra}"
            f"Content-Length: {len(body)}\r\n\r\n").encode() + body


# What is no policy, though it looks like one: it must count for nothing.
ODD = [
    ("sts-policy-fetch-error", answer(
        "301 Moved", "text/plain", FINE,
        "Location: https://mta-sts.enforce.test/.well-known/mta-sts.txt\r\n")),
    ("sts-policy-fetch-error", answer("500 No", "text/plain", FINE)),
    ("sts-policy-invalid", answer("200 OK", "text/html", FINE)),
    ("sts-policy-invalid", answer("200 OK", "text/plain", FINE[10:])),
    ("sts-policy-fetch-error", answer("200 OK", "text/plain", FINE + b"x: y\n"
                                      * 20000)),
    ("sts-policy-fetch-error", answer("200 OK", "text/plain", FINE)[:-5]),
]


class World:
    def __init__(self, home):
        self.stack = contextlib.ExitStack()
        self.authority = Authority(home)
        self.stranger = Authority(tempfile.mkdtemp(dir=home))
        self.port, self.web_port = free_port("127.0.0.1"), \
            free_port(WEB)
        self.mx = {}
        zones = {}
        for i, (domain, (_, names, expired)) in enumerate(DOMAINS.items()):
            address = f"127.0.2.{i + 1}"
            path = None if names is None else \
                self.authority.issue(*names, expired=expired)
            self.mx[domain] = Mx(address, self.port, path,
                                 ["REQUIRETLS"] if domain == "requires.test"
                                 else [])
            self.stack.callback(self.mx[domain].close)
            zones[domain] = (f"@ MX 10 mx\nmx A {address}\n"
                             f"mta-sts A {WEB}\n_smtp._tls TXT "
                             '"v=TLSRPTv1; rua=mailto:tls@reports.test,'
                             f'https://web.reports.test:{self.web_port}'
                             '/post"\n')
        zones["reports.test"] += f"web A {WEB}\n"
        zones["gone.test"] = zones["gone.test"].replace(
            "tls@", "nobody@").replace("/post", "/gone")
        zones[DOMAIN] = ""		# its keys come later
        self.add_tlsa(zones)
        self.web = Web(WEB, self.web_port, self.authority.issue(
            *(f"mta-sts.{d}" for d in DOMAINS if d != "badpolicy.test")))
        self.stack.callback(self.web.close)
        self.add_policies(zones)
        unsigned = [d for d, (signed, _, _) in DOMAINS.items() if not signed]
        self.dns = self.stack.enter_context(Dns(
            zones, unsigned=unsigned, bogus=[f"_tcp.mx.bogus.test"], ttl=1))

    def add_tlsa(self, zones):
        def tlsa(domain, data):
            zones[domain] += f"_{self.port}._tcp.mx TLSA {data}\n"

        def certificate(domain):
            return self.authority.issue(*DOMAINS[domain][1])

        wrong = self.stranger.issue("x")
        tlsa("dane.test", self.authority.tlsa(certificate("dane.test")))
        tlsa("danename.test", self.authority.tlsa(self.authority.ca, 2, 0))
        tlsa("danewrong.test", self.stranger.tlsa(wrong))
        tlsa("daneno.test", self.stranger.tlsa(wrong))
        tlsa("unusable.test", self.stranger.tlsa(wrong, 1))
        tlsa("unsigned.test", self.stranger.tlsa(wrong))
        # Only these records do not validate, not what is above them.
        zones["_tcp.mx.bogus.test"] = (
            f"_{self.port} TLSA " + self.authority.tlsa(
                certificate("bogus.test")) + "\n")

    def add_policies(self, zones):
        for i in range(len(ODD)):
            zones[f"odd{i}.test"] += '_mta-sts TXT "v=STSv1; id=1;"\n'
            self.web.odd[f"mta-sts.odd{i}.test"] = ODD[i][1]
        for domain in ("enforce", "wrongmx", "expired", "testing", "kept",
                       "badpolicy"):
            domain += ".test"
            zones[domain] += '_mta-sts TXT "v=STSv1; id=1;"\n'
            self.web.policy(domain, "testing" if domain == "testing.test"
                            else "enforce", "*.else.test"
                            if domain == "wrongmx.test" else f"mx.{domain}")

    def settings(self):
        return f"""
            {self.dns.settings}
            relay {{ port = {self.port}; sts_port = {self.web_port};
                authorities = "{self.authority.ca}";
                local_addresses = yes;
                retry_first = 1s; retry_longest = 2s;
                down_first = 1s; down_longest = 2s; idle_time = 0 }}
            auth {{ plaintext_on_loopback = yes }}
            """


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    w = World(str(tmp_path_factory.mktemp("policy")))
    with w.stack:
        w.server = Postrider(settings=w.settings())
        w.dns.set(DOMAIN, "".join(
            line + "\n" for line in w.server.cli("dns", DOMAIN).stdout
            .splitlines() if "._domainkey." in line))
        with w.server:
            yield w


def send(w, to, subject, extra="", options=()):
    with smtplib.SMTP("127.0.0.1", w.server.port("submission"),
                      timeout=30) as s:
        s.ehlo("client.test")
        if "REQUIRETLS" in options:	# offered under TLS alone
            s.starttls(context=w.server.tls_context())
        s.login(f"ann@{DOMAIN}", PASSWORD)
        s.sendmail(f"ann@{DOMAIN}", [to], message(
            f"ann@{DOMAIN}", to, subject,
            extra=f"Message-ID: <{subject}@{DOMAIN}>\r\n{extra}"),
            mail_options=options)


def trace(w, subject):
    return w.server.cli("trace", f"<{subject}@{DOMAIN}>").stdout


def delivered(w, domain, subject, **more):
    send(w, f"x@{domain}", subject, **more)
    got = eventually(lambda: w.mx[domain].got(subject), 30)
    return got, eventually(lambda: "sent" in trace(w, subject) and
                           trace(w, subject))


def put_off(w, domain, subject, *words):
    """It is not sent; the trace says why."""
    send(w, f"x@{domain}", subject)
    steps = eventually(lambda: all(x in trace(w, subject) for x in words) and
                       trace(w, subject), 30)
    assert "deferred" in steps
    assert w.mx[domain].got(subject) is None
    return steps


# -- DANE ----------------------------------

def test_dane_usage_3(world):
    """The name in the certificate does not count, nor who issued it."""
    got, steps = delivered(world, "dane.test", "dane-good")
    assert got[3] == "TLSv1.3"
    assert "dane: 1 TLSA record" in steps


def test_dane_usage_2(world):
    got, steps = delivered(world, "danename.test", "dane-anchor")
    assert got[3] == "TLSv1.3"
    assert "dane: 1 TLSA record" in steps


def test_dane_wrong_certificate(world):
    put_off(world, "danewrong.test", "dane-wrong", "4.7.5",
            "dane: 1 TLSA record")


def test_dane_without_starttls(world):
    put_off(world, "daneno.test", "dane-plain", "4.7.4", "STARTTLS", "dane")


def test_dane_unusable(world):
    """Encrypted, whoever it is."""
    got, steps = delivered(world, "unusable.test", "dane-unusable")
    assert got[3] == "TLSv1.3"
    assert "no TLSA record is of use" in steps


def test_dane_bogus(world):
    put_off(world, "bogus.test", "dane-bogus", "4.7.5", "fail validation")


def test_dane_unsigned(world):
    got, steps = delivered(world, "unsigned.test", "dane-unsigned")
    assert got[3] == "TLSv1.3"
    assert "may" in steps


# -- MTA-STS ----------------------------------

def test_sts_enforce(world):
    got, steps = delivered(world, "enforce.test", "sts-good")
    assert got[3] == "TLSv1.3"
    assert "mta-sts enforce (id 1)" in steps


def test_sts_other_mx(world):
    put_off(world, "wrongmx.test", "sts-mx", "4.7.5", "does not name")


def test_sts_expired_certificate(world):
    put_off(world, "expired.test", "sts-expired", "4.7.5",
            "certificate-expired")


def test_sts_testing(world):
    """Nothing fits, and it is delivered; the report will say so."""
    got, steps = delivered(world, "testing.test", "sts-testing")
    assert got[3] == "TLSv1.3"
    assert "mta-sts testing (id 1)" in steps


def test_sts_policy_host_unknown(world):
    """A policy that a stranger could serve is none."""
    got, steps = delivered(world, "badpolicy.test", "sts-badpolicy")
    assert "may" in steps
    assert "sts-webpki-invalid" in world.server.log()


@pytest.mark.parametrize("i", range(len(ODD)))
def test_sts_no_policy(world, i):
    """RFC 8461 3.3: 200, text/plain, whole; no redirect."""
    _, steps = delivered(world, f"odd{i}.test", f"sts-odd{i}")
    assert "may" in steps
    assert has_field(world.server.log(), "relay.sts_failed",
                     domain=f"odd{i}.test", result=ODD[i][0])


def test_sts_kept(world):
    """A policy outlives everything but its time: relay, Postrider, its own
    host, and its announcement."""
    w = world
    delivered(w, "kept.test", "sts-first")
    assert w.web.asked.count("mta-sts.kept.test") == 1
    w.server.restart()
    delivered(w, "kept.test", "sts-second")
    assert w.web.asked.count("mta-sts.kept.test") == 1
    # A new id, but nothing is to be had; then not even an id. Whoever does
    # so cannot have the mail.
    del w.web.files["mta-sts.kept.test", "/.well-known/mta-sts.txt"]
    zone = w.dns.zones["kept.test"]
    w.dns.set("kept.test", zone.replace("id=1", "id=2"))
    w.mx["kept.test"].use(w.stranger.issue("mx.kept.test"))
    time.sleep(2)			# longer than the DNS is cached
    put_off(w, "kept.test", "sts-third", "4.7.5", "certificate-not-trusted")
    assert w.web.asked.count("mta-sts.kept.test") == 2
    w.dns.set("kept.test", "\n".join(
        x for x in zone.splitlines() if "_mta-sts" not in x) + "\n")
    time.sleep(2)
    put_off(w, "kept.test", "sts-fourth", "mta-sts enforce")
    w.mx["kept.test"].use(w.authority.issue("mx.kept.test"))
    w.server.cli("queue", "flush")
    eventually(lambda: w.mx["kept.test"].got("sts-fourth"), 30)


# -- what the message says (RFC 8689) ----------------------------------

def test_tls_not_required(world):
    got, steps = delivered(world, "danewrong.test", "no-tls",
                           extra="TLS-Required: No\r\n")
    assert "TLS-Required: No" in steps


def test_requiretls(world):
    got, _ = delivered(world, "requires.test", "requiretls",
                       options=["REQUIRETLS"])
    assert "REQUIRETLS" in got[0].upper()
    assert got[3] == "TLSv1.3"


@pytest.mark.parametrize("domain", ["dane.test", "unsigned.test"])
def test_requiretls_refused(world, domain):
    """One does not offer it; for the other nobody vouches."""
    subject = f"requiretls-{domain}"
    send(world, f"x@{domain}", subject, options=["REQUIRETLS"])

    def returned():
        with imaplib.IMAP4("127.0.0.1", world.server.port("imap")) as c:
            c.login(f"ann@{DOMAIN}", PASSWORD)
            c.select("INBOX")
            return any(b"5.7.30" in c.uid("FETCH", u, "(BODY.PEEK[])")[1][0][1]
                       for u in c.uid("SEARCH", "TEXT", domain)[1][0].split())

    eventually(returned, 30)
    assert world.mx[domain].got(subject) is None


# -- reports (RFC 8460) ----------------------------------

def check_schema(report):
    """Of RFC 8460 4.4: what must be there, and of what kind."""
    assert set(report) == {"organization-name", "date-range", "contact-info",
                           "report-id", "policies"}
    assert set(report["date-range"]) == {"start-datetime", "end-datetime"}
    for value in report["date-range"].values():
        time.strptime(value, "%Y-%m-%dT%H:%M:%SZ")
    assert report["policies"]
    for p in report["policies"]:
        assert set(p) <= {"policy", "summary", "failure-details"}
        kind = p["policy"]["policy-type"]
        assert kind in ("tlsa", "sts", "no-policy-found")
        assert isinstance(p["policy"]["policy-domain"], str)
        if kind != "no-policy-found":
            assert all(isinstance(x, str)
                       for x in p["policy"]["policy-string"])
        if kind == "sts":
            assert all(isinstance(x, str) for x in
                       p["policy"].get("mx-host", []))
        counts = p["summary"]
        assert set(counts) == {"total-successful-session-count",
                               "total-failure-session-count"}
        assert all(isinstance(x, int) for x in counts.values())
        details = p.get("failure-details", [])
        assert sum(d["failed-session-count"] for d in details) == \
            counts["total-failure-session-count"]
        for d in details:
            assert d["result-type"] in RESULT_TYPES
            assert set(d) <= {
                "result-type", "sending-mta-ip", "receiving-mx-hostname",
                "receiving-mx-helo", "receiving-ip", "failed-session-count",
                "additional-information", "failure-reason-code"}


RESULT_TYPES = {
    "starttls-not-supported", "certificate-host-mismatch",
    "certificate-expired", "certificate-not-trusted", "validation-failure",
    "tlsa-invalid", "dnssec-invalid", "dane-required",
    "sts-policy-fetch-error", "sts-policy-invalid", "sts-webpki-invalid"}


def key_of(w, name):
    line = next(x for x in w.dns.zones[DOMAIN].splitlines()
                if x.startswith(name + "."))
    return "".join(re.findall(r'"([^"]*)"', line)).encode()


def attached(w, mail):
    m = email.message_from_bytes(mail[2])
    # RFC 8460 3: signed by the domain that sends it.
    assert f"d={DOMAIN};" in "".join(m["DKIM-Signature"].split())
    assert dkim.verify(mail[2], dnsfunc=lambda name, timeout=5: key_of(
        w, name.decode().rstrip(".")))
    assert m.get_content_type() == "multipart/report"
    assert m.get_param("report-type") == "tlsrpt"
    words, report = m.get_payload()
    assert words.get_content_type() == "text/plain"
    assert report.get_content_type() == "application/tlsrpt+gzip"
    found = json.loads(gzip.decompress(report.get_payload(decode=True)))
    assert m["TLS-Report-Domain"] == \
        found["policies"][0]["policy"]["policy-domain"]
    assert m["TLS-Report-Submitter"] == DOMAIN
    assert m["TLS-Required"] == "No"
    assert m["From"] == f"<postmaster@{DOMAIN}>"
    assert " ".join(m["Subject"].split()) == (
        f"Report Domain: {m['TLS-Report-Domain']} Submitter: {DOMAIN} "
        f"Report-ID: <{found['report-id']}>")
    parts = report.get_filename().split("!")
    assert parts[:2] == [DOMAIN, m["TLS-Report-Domain"]]
    assert report.get_filename().endswith(".json.gz")
    return m["TLS-Report-Domain"], found


def test_reports(world):
    """Last: what all that was before comes to. reports.test has no TLS, and
    gets the reports all the same; by mail, and posted."""
    w = world
    delivered(w, "dane.test", "report-good")
    delivered(w, "testing.test", "report-testing")
    delivered(w, "unsigned.test", "report-may")
    put_off(w, "danewrong.test", "report-wrong", "4.7.5")
    send(w, "x@dane.test", "report-nothing", extra="TLS-Required: No\r\n")
    w.server.restart()			# relay hands its counts over
    shown = {r["policies"][0]["policy"]["policy-domain"]: r for r in
             json.loads(w.server.cli("tls-report", "--json").stdout)}
    text = w.server.cli("tls-report", "danewrong.test").stdout
    assert "danewrong.test" in text and "tlsa-invalid" in text
    w.server.cli("tls-report", "--now")
    assert "Nothing" in w.server.cli("tls-report").stdout

    def all_came():
        reports = [m for m in w.mx["reports.test"].mail
                   if b"Report Domain:" in m[2]]
        return len(reports) == len(shown) and reports

    mails = eventually(all_came, 60)
    assert all(m[0].startswith("MAIL FROM:<>") for m in mails)
    assert all("<tls@reports.test>" in m[1][0] for m in mails)
    found = dict(attached(w, m) for m in mails)
    assert set(found) == set(shown)
    for report in found.values():
        check_schema(report)
    eventually(lambda: len(w.web.posted) == len(shown), 60)
    assert {(h, p, t) for h, p, t, _ in w.web.posted} == {
        ("web.reports.test", "/post", "application/tlsrpt+gzip")}
    posted = [json.loads(gzip.decompress(b)) for _, _, _, b in w.web.posted]
    assert {r["report-id"] for r in posted} == \
        {r["report-id"] for r in found.values()}

    # And what they say.
    def policy(domain, kind):
        return next(p for p in found[domain]["policies"]
                    if p["policy"]["policy-type"] == kind)

    p = policy("dane.test", "tlsa")
    assert p["summary"]["total-successful-session-count"] >= 1
    assert p["policy"]["policy-string"][0].startswith(
        f"_{w.port}._tcp.mx.dane.test. IN TLSA 3 1 1 ")
    p = policy("testing.test", "sts")
    assert p["policy"]["mx-host"] == ["mx.testing.test"]
    assert "mode: testing" in p["policy"]["policy-string"]
    failure = p["failure-details"][0]
    assert failure["result-type"] == "certificate-host-mismatch"
    assert failure["receiving-mx-hostname"] == "mx.testing.test"
    assert failure["receiving-ip"].startswith("127.0.2.")
    p = policy("unsigned.test", "no-policy-found")
    assert p["summary"]["total-successful-session-count"] >= 1
    p = policy("danewrong.test", "tlsa")
    assert p["summary"]["total-failure-session-count"] >= 1
    # Nobody is told how the reports themselves went.
    assert "reports.test" not in found
    w.server.restart()
    assert "reports.test" not in w.server.cli("tls-report").stdout


def test_reports_nobody_takes(world):
    """They are given up, and no one is told."""
    w = world
    delivered(w, "gone.test", "report-gone")
    w.server.restart()
    before = len(w.web.posted)
    w.server.cli("tls-report", "gone.test", "--now")
    eventually(lambda: [p for _, p, _, _ in w.web.posted[before:]] ==
               ["/gone"], 30)

    def queue():
        return json.loads(w.server.cli("queue", "list", "--json").stdout)

    eventually(lambda: "" not in [m["sender"] for m in queue()], 30, 0.5)
    steps = w.server.cli("trace", json.loads(gzip.decompress(
        w.web.posted[-1][3]))["report-id"]).stdout
    assert "5.1.1 nobody" in steps and "5.3.0" in steps, steps
    assert "queued" not in steps and "returned" not in steps
