"""Logging in with what is no password of one's own: app passwords, access
tokens (signed, or asked about at a real token server), client certificates;
second factors and referrals. Over TLS, as clients do it."""
import base64
import contextlib
import hashlib
import hmac
import http.server
import imaplib
import json
import os
import poplib
import re
import smtplib
import socket
import ssl
import struct
import subprocess
import threading
import time
import urllib.parse
import zlib

import pytest
from harness import DOMAIN, PASSWORD, Postrider, eventually

ANN, BOB = f"ann@{DOMAIN}", f"bob@{DOMAIN}"
ISSUER, AUDIENCE = "https://login.example", "mail"


def openssl(*arguments, data=None):
    return subprocess.run(["openssl", *arguments], input=data, check=True,
                          capture_output=True).stdout


def b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


# -- keys and tokens

class Key:
    """A private key, its JWK, and tokens signed with it."""
    KINDS = {
        "RS256": ("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"),
        "PS256": ("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"),
        "ES256": ("-algorithm", "EC", "-pkeyopt",
                  "ec_paramgen_curve:P-256"),
        "EdDSA": ("-algorithm", "ED25519"),
    }

    def __init__(self, folder, algorithm):
        self.algorithm = algorithm
        self.path = os.path.join(folder, algorithm + ".key")
        openssl("genpkey", *self.KINDS[algorithm], "-out", self.path)
        self.der = openssl("pkey", "-in", self.path, "-pubout", "-outform",
                           "DER")

    def jwk(self):
        if self.algorithm in ("RS256", "PS256"):
            text = openssl("rsa", "-in", self.path, "-noout", "-modulus")
            n = bytes.fromhex(text.decode().strip().split("=")[1])
            key = {"kty": "RSA", "n": b64url(n), "e": "AQAB"}
        elif self.algorithm == "ES256":
            key = {"kty": "EC", "crv": "P-256", "x": b64url(self.der[-64:-32]),
                   "y": b64url(self.der[-32:])}
        else:
            key = {"kty": "OKP", "crv": "Ed25519",
                   "x": b64url(self.der[-32:])}
        return {**key, "kid": self.algorithm, "alg": self.algorithm,
                "use": "sig"}

    def sign(self, data):
        if self.algorithm == "EdDSA":
            path = self.path + ".data"
            with open(path, "wb") as f:
                f.write(data)
            return openssl("pkeyutl", "-sign", "-rawin", "-inkey", self.path,
                           "-in", path)
        options = ()
        if self.algorithm == "PS256":
            options = ("-sigopt", "rsa_padding_mode:pss", "-sigopt",
                       "rsa_pss_saltlen:32")
        made = openssl("dgst", "-sha256", "-sign", self.path, *options,
                       data=data)
        return raw_ecdsa(made) if self.algorithm == "ES256" else made

    def token(self, header=None, **claims):
        claims = {"iss": ISSUER, "aud": AUDIENCE, "email": ANN,
                  "exp": int(time.time()) + 300, **claims}
        claims = {k: v for k, v in claims.items() if v is not None}
        header = {"alg": self.algorithm, "typ": "at+jwt",
                  "kid": self.algorithm, **(header or {})}
        text = ".".join(b64url(json.dumps(x).encode())
                        for x in (header, claims))
        return text + "." + b64url(self.sign(text.encode()))


def raw_ecdsa(der):
    """SEQUENCE of two INTEGERs as JWS wants it: 32 bytes each."""
    at, out = 2, b""
    for _ in range(2):
        n = der[at + 1]
        out += der[at + 2:at + 2 + n].lstrip(b"\0").rjust(32, b"\0")
        at += 2 + n
    return out


# -- a token server

class TokenServer(http.server.BaseHTTPRequestHandler):
    """RFC 7662: /ask answers about the tokens it knows."""
    known = {}
    asked = []
    delay = 0

    def do_POST(self):
        form = urllib.parse.parse_qs(self.rfile.read(
            int(self.headers["Content-Length"])).decode())
        token = form["token"][0]
        self.asked.append((self.headers["Authorization"], token))
        time.sleep(self.delay)
        if token == "broken":
            self.send_error(500)
            return
        body = json.dumps(self.known.get(token, {"active": False})).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


def make_authority(folder, name):
    key, path = (os.path.join(folder, name + end) for end in (".key", ".pem"))
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", path,
            "-days", "30", "-subj", f"/CN={name}", "-addext",
            "keyUsage=critical,keyCertSign,cRLSign")
    return key, path


def make_certificate(folder, authority, name, subject, extension):
    key, path, request, extra = (
        os.path.join(folder, name + end)
        for end in (".key", ".pem", ".csr", ".ext"))
    with open(extra, "w") as f:
        f.write(extension + "\n")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-keyout", key, "-out", request, "-subj", subject)
    openssl("x509", "-req", "-in", request, "-CA", authority[1], "-CAkey",
            authority[0], "-CAcreateserial", "-out", path, "-days", "30",
            "-extfile", extra)
    return path, key


class World:
    """A server that takes tokens and certificates, and who makes them."""

    def __init__(self, folder):
        self.folder = str(folder)
        self.keys = {name: Key(self.folder, name) for name in Key.KINDS}
        self.authority = make_authority(self.folder, "ours")
        self.stranger = make_authority(self.folder, "strangers")
        jwks = os.path.join(self.folder, "jwks.json")
        with open(jwks, "w") as f:
            json.dump({"keys": [k.jwk() for k in self.keys.values()]
                       + [{"kty": "oct", "k": "AAAA"}]}, f)
        secret = os.path.join(self.folder, "secret")
        with open(secret, "w") as f:
            f.write("s3cret:%\n")
        self.start_token_server()
        self.server = Postrider(settings=f"""
            auth {{ failure_delay = 1ms; lockout_failures = 1000;
                max_failures = 1000; }}
            tls {{ client_ca = "{self.authority[1]}"; }}
            relay {{ authorities = "{self.authority[1]}"; }}
            oauth {{
                keys = "{jwks}"; issuer = "{ISSUER}";
                audience = "{AUDIENCE}"; scope = "mail";
                configuration = "https://login.example/.well-known";
                introspection = "https://localhost:{self.port}/ask?x=1";
                client_id = "post rider"; client_secret = "{secret}";
                leeway = 1s; cache_time = 1h; timeout = 3s;
            }}""")

    def start_token_server(self):
        path, key = make_certificate(
            self.folder, self.authority, "web", "/CN=localhost",
            "subjectAltName=DNS:localhost")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path, key)
        self.web = http.server.ThreadingHTTPServer(("127.0.0.1", 0),
                                                   TokenServer)
        self.web.socket = context.wrap_socket(self.web.socket,
                                              server_side=True)
        self.port = self.web.server_address[1]
        threading.Thread(target=self.web.serve_forever, daemon=True).start()

    def context(self, certificate=None):
        context = self.server.tls_context()
        if certificate is not None:
            context.load_cert_chain(*certificate)
        return context

    def imap(self, certificate=None, context=None):
        return imaplib.IMAP4_SSL("127.0.0.1", self.server.port("imaps"),
                                 ssl_context=context or
                                 self.context(certificate), timeout=20)

    def token(self, algorithm="ES256", header=None, **claims):
        return self.keys[algorithm].token(header, scope="x mail", **claims)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("auth")
    os.chmod(folder, 0o755)
    w = World(folder)
    with w.server:
        yield w
    w.web.shutdown()
    w.web.server_close()


def bearer(token, user=None):
    return (f"n,{'a=' + user if user else ''},\1host=mail\1port=993\1"
            f"auth=Bearer {token}\1\1").encode()


def xoauth2(token, user=ANN):
    return f"user={user}\1auth=Bearer {token}\1\1".encode()


def try_imap(w, mechanism, first, certificate=None):
    """None when it logs in, else the challenges that were answered."""
    challenges = []
    imap = w.imap(certificate)

    def answer(challenge):
        challenges.append(challenge)
        if len(challenges) == 1:
            return first
        return b"\1" if mechanism == "OAUTHBEARER" else b""

    try:
        imap.authenticate(mechanism, answer)
        assert imap.select("INBOX")[0] == "OK"
        return None
    except imaplib.IMAP4.error as error:
        challenges.append(str(error))
        return challenges
    finally:
        with contextlib.suppress(OSError, imaplib.IMAP4.error):
            imap.logout()


# -- signed tokens

@pytest.mark.parametrize("algorithm", Key.KINDS)
def test_signed(world, algorithm):
    token = world.token(algorithm)
    assert try_imap(world, "OAUTHBEARER", bearer(token)) is None
    assert try_imap(world, "OAUTHBEARER", bearer(token, ANN)) is None
    assert try_imap(world, "XOAUTH2", xoauth2(token)) is None


def broken_tokens(w):
    good = w.token()
    head, body, signature = good.split(".")
    return {
        "expired": w.token(exp=int(time.time()) - 60),
        "no expiry": w.token(exp=None),
        "too early": w.token(nbf=int(time.time()) + 60),
        "issuer": w.token(iss="https://other.example"),
        "audience": w.token(aud=["other", "another"]),
        "scope": w.keys["ES256"].token(scope="mailbox"),
        "nobody here": w.token(email=f"nobody@{DOMAIN}"),
        "no name": w.token(email=None),
        "not verified": w.token(email_verified=False),
        "for something else": w.token(header={"typ": "logout+jwt"}),
        "critical": w.token(header={"crit": ["b64"]}),
        "signature": ".".join((head, body, b64url(bytes(64)))),
        "other body": ".".join((head, b64url(json.dumps(
            {"email": BOB, "exp": 9e9}).encode()), signature)),
        "no algorithm": ".".join((b64url(b'{"alg":"none"}'), body, "x")),
        "hmac with the public key": ".".join((
            b64url(b'{"alg":"HS256"}'), body, b64url(hmac.new(
                w.keys["RS256"].der, b"x", "sha256").digest()))),
        "another key's name": w.token(header={"kid": "RS256"}),
        "garbage": "abc.def",
    }


def test_signed_and_wrong(world):
    for what, token in broken_tokens(world).items():
        said = try_imap(world, "OAUTHBEARER", bearer(token))
        assert said is not None, what
        error = json.loads(said[1])
        assert error["status"] == "invalid_token", what
        assert error["scope"] == "mail"
        assert error["openid-configuration"].startswith("https://login")
        assert "AUTHENTICATIONFAILED" in said[-1], what
    said = try_imap(world, "XOAUTH2", xoauth2("abc"))
    assert json.loads(said[1])["status"] == "400"


def test_signed_for_another(world):
    """A token of Ann's does not open Bob's mail."""
    token = world.token()
    assert try_imap(world, "OAUTHBEARER", bearer(token, BOB)) is not None
    assert try_imap(world, "XOAUTH2", xoauth2(token, BOB)) is not None


def test_malformed_strings(world):
    token = world.token()
    for first in (b"", b"\1", b"n,,\1", b"n,,\1auth=Bearer \1\1",
                  b"p=tls-exporter,,\1auth=Bearer x\1\1",
                  b"n,,\1auth=Basic x\1\1", b"n,,\1auth=Bearer x",
                  f"n,,\1auth=Bearer {token}\1auth=Bearer x\1\1".encode()):
        assert "BAD" in str(try_imap(world, "OAUTHBEARER", first)), first


def test_mechanisms_are_told(world):
    imap = world.imap()
    words = imap.capability()[1][0].split()
    assert {b"AUTH=OAUTHBEARER", b"AUTH=XOAUTH2",
            b"AUTH=SCRAM-SHA-512-PLUS"} <= set(words)
    assert b"AUTH=EXTERNAL" not in words
    imap.logout()


def test_curl_bearer(world):
    """A client of everyone's."""
    done = subprocess.run(
        ["curl", "-sS", "--cacert", world.server.certificate(), "--insecure",
         f"imaps://127.0.0.1:{world.server.port('imaps')}/", "--user", ANN,
         "--oauth2-bearer", world.token("RS256"), "-X", "STATUS INBOX "
         "(MESSAGES)"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert "* STATUS INBOX (MESSAGES" in done.stdout


def test_submission_and_pop3(world):
    first = base64.b64encode(xoauth2(world.token("EdDSA"))).decode()
    smtp = smtplib.SMTP_SSL("127.0.0.1", world.server.port("submissions"),
                            context=world.context(), timeout=20)
    smtp.ehlo()
    assert "OAUTHBEARER" in smtp.esmtp_features["auth"]
    assert smtp.docmd("AUTH", "XOAUTH2 " + first)[0] == 235
    smtp.quit()
    smtp = smtplib.SMTP_SSL("127.0.0.1", world.server.port("submissions"),
                            context=world.context(), timeout=20)
    smtp.ehlo()
    code, text = smtp.docmd("AUTH", "XOAUTH2 " + base64.b64encode(
        xoauth2("wrong")).decode())
    assert code == 334 and json.loads(base64.b64decode(text))
    assert smtp.docmd("")[0] == 535
    smtp.quit()
    pop = poplib.POP3_SSL("127.0.0.1", world.server.port("pop3s"),
                          context=world.context(), timeout=20)
    assert pop._shortcmd("AUTH XOAUTH2 " + first).startswith(b"+OK")
    pop.quit()


# -- the token server

def test_asked(world):
    TokenServer.known["opaque-1"] = {
        "active": True, "iss": ISSUER, "aud": AUDIENCE, "scope": "mail",
        "email": ANN, "exp": int(time.time()) + 300}
    before = len(TokenServer.asked)
    assert try_imap(world, "OAUTHBEARER", bearer("opaque-1")) is None
    authorization, token = TokenServer.asked[before]
    assert token == "opaque-1"
    assert base64.b64decode(authorization.split()[1]).decode() == \
        "post%20rider:s3cret%3A%25"
    # The answer is kept.
    assert try_imap(world, "XOAUTH2", xoauth2("opaque-1")) is None
    assert len(TokenServer.asked) == before + 1


def test_asked_and_refused(world):
    for name, answer in {
            "revoked": {"active": False, "email": ANN},
            "elsewhere": {"active": True, "iss": "x", "aud": AUDIENCE,
                          "scope": "mail", "email": ANN},
            "gone": {"active": True, "iss": ISSUER, "aud": AUDIENCE,
                     "scope": "mail", "email": ANN, "exp": 1000}}.items():
        TokenServer.known[name] = answer
        assert "invalid_token" in str(
            try_imap(world, "OAUTHBEARER", bearer(name))), name


def test_asked_in_vain(world):
    """No answer is no verdict: the client may try again."""
    assert "UNAVAILABLE" in str(
        try_imap(world, "OAUTHBEARER", bearer("broken")))
    assert world.server.log().count("relay.token_server") >= 1


def test_asked_at_once(world):
    """Many at a time with one token: one question."""
    TokenServer.known["crowd"] = {
        "active": True, "iss": ISSUER, "aud": AUDIENCE, "scope": "mail",
        "email": BOB}
    TokenServer.delay, before = 0.2, len(TokenServer.asked)
    said = []
    threads = [threading.Thread(target=lambda: said.append(
        try_imap(world, "OAUTHBEARER", bearer("crowd")))) for _ in range(10)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    TokenServer.delay = 0
    assert said == [None] * 10
    assert len(TokenServer.asked) == before + 1


# -- client certificates

@pytest.fixture(scope="module")
def certificates(world):
    make = make_certificate
    usage = "extendedKeyUsage=clientAuth\n"
    return {
        "ann": make(world.folder, world.authority, "c-ann", "/CN=Ann",
                    usage + f"subjectAltName=email:{ANN}"),
        "subject": make(world.folder, world.authority, "c-subject",
                        f"/CN=Bob/emailAddress={BOB}", usage),
        "both": make(world.folder, world.authority, "c-both", "/CN=Both",
                     usage + f"subjectAltName=email:{BOB},email:{ANN}"),
        "server": make(world.folder, world.authority, "c-server", "/CN=S",
                       "extendedKeyUsage=serverAuth\n"
                       f"subjectAltName=email:{ANN}"),
        "nobody": make(world.folder, world.authority, "c-nobody", "/CN=N",
                       usage + "subjectAltName=email:x@elsewhere.test"),
        "stranger": make(world.folder, world.stranger, "c-stranger",
                         "/CN=Ann", usage + f"subjectAltName=email:{ANN}"),
    }


def external(w, certificate, identity=b""):
    imap = w.imap(certificate)
    words = imap.capability()[1][0].split()
    if b"AUTH=EXTERNAL" not in words:
        imap.logout()
        return "not offered"
    imap.logout()
    said = try_imap(w, "EXTERNAL", identity, certificate)
    return "in" if said is None else said[-1]


def test_external(world, certificates):
    c = certificates
    assert external(world, c["ann"]) == "in"
    assert external(world, c["ann"], ANN.encode()) == "in"
    assert external(world, c["subject"]) == "in"
    assert external(world, c["both"], ANN.encode()) == "in"
    assert "AUTHENTICATIONFAILED" in external(world, c["ann"], BOB.encode())
    assert "AUTHENTICATIONFAILED" in external(world, c["nobody"])
    assert external(world, c["stranger"]) == "not offered"
    assert external(world, c["server"]) == "not offered"
    assert external(world, None) == "not offered"


def test_external_needs_tls_1_3(world, certificates):
    context = world.context(certificates["ann"])
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    imap = world.imap(context=context)
    assert b"AUTH=EXTERNAL" not in imap.capability()[1][0].split()
    assert imap.login(ANN, PASSWORD)[0] == "OK"
    imap.logout()


def test_external_after_a_retry(world, certificates):
    """A HelloRetryRequest changes what is hashed (RFC 8446 4.4.1)."""
    path, key = certificates["ann"]
    done = subprocess.run(
        ["openssl", "s_client", "-quiet", "-connect",
         f"127.0.0.1:{world.server.port('imaps')}", "-cert", path, "-key",
         key, "-groups", "secp521r1:P-256", "-tls1_3"],
        input=b"a AUTHENTICATE EXTERNAL =\r\nb LOGOUT\r\n",
        capture_output=True, timeout=30)
    assert b"a OK [CAPABILITY" in done.stdout, done


# -- app passwords and second factors

def add_app(server, address=ANN, *options):
    return json.loads(server.cli("account", "app-password", "add", address,
                                 "--json", *options).stdout)


def apps(server, address=ANN):
    return json.loads(server.cli("account", "app-password", "list", address,
                                 "--json").stdout)


def scram512(imap, password, user=ANN, hash_name="sha512"):
    """A client for SCRAM-SHA-512, which imaplib is not."""
    nonce = "clientnonce"
    bare = f"n={user},r={nonce}"
    state = {}

    def answer(challenge):
        challenge = challenge.decode()
        if not challenge:
            return "n,," + bare
        if challenge.startswith("v="):
            assert challenge[2:] == state["server"]
            return ""
        parts = dict(p.split("=", 1) for p in challenge.split(","))
        salted = hashlib.pbkdf2_hmac(
            hash_name, password.encode(), base64.b64decode(parts["s"]),
            int(parts["i"]))

        def mac(key, text):
            return hmac.new(key, text.encode(), hash_name).digest()
        without = f"c=biws,r={parts['r']}"
        said = f"{bare},{challenge},{without}"
        client = mac(salted, "Client Key")
        stored = hashlib.new(hash_name, client).digest()
        proof = bytes(a ^ b for a, b in zip(client, mac(stored, said)))
        state["server"] = base64.b64encode(
            mac(mac(salted, "Server Key"), said)).decode()
        return without + ",p=" + base64.b64encode(proof).decode()

    return imap.authenticate("SCRAM-" + hash_name.upper().replace(
        "SHA", "SHA-"), answer)


def refused(call, *arguments):
    with pytest.raises((imaplib.IMAP4.error, poplib.error_proto,
                        smtplib.SMTPException)) as caught:
        call(*arguments)
    return str(caught.value)


def test_scram_sha_512(world):
    imap = world.imap()
    assert "AUTHENTICATIONFAILED" in refused(scram512, imap, "wrong")
    assert scram512(imap, PASSWORD)[0] == "OK"
    imap.logout()


def test_app_passwords(world):
    server = world.server
    mail = add_app(server, ANN, "--note", "telephone", "--for", "imap,smtp")
    only_pop = add_app(server, ANN, "--for", "pop3")
    assert re.fullmatch(r"([a-z2-9]{5}-){3}[a-z2-9]{5}", mail["password"])
    for hash_name in ("sha1", "sha256", "sha512"):
        imap = world.imap()
        assert scram512(imap, mail["password"], hash_name=hash_name)[0] == \
            "OK"
        imap.logout()
    imap = world.imap()
    assert "not for this protocol" in refused(
        imap.login, ANN, only_pop["password"])
    assert "not for this protocol" in refused(
        scram512, imap, only_pop["password"])
    assert "AUTHENTICATIONFAILED" in refused(imap.login, BOB,
                                             mail["password"])
    assert imap.login(ANN, mail["password"])[0] == "OK"
    assert imap.select("INBOX")[0] == "OK"
    row = {a["id"]: a for a in apps(server)}[mail["id"]]
    assert row["note"] == "telephone" and row["for"] == ["imap", "smtp"]
    assert row["last_protocol"] == "imaps"
    assert row["last_peer"] == "127.0.0.1" and row["last_used"]
    # Revoked: its sessions end, others go on.
    own = world.imap()
    own.login(ANN, PASSWORD)
    server.cli("account", "app-password", "revoke", ANN, str(mail["id"]))
    with pytest.raises(imaplib.IMAP4.error):
        imap.select("INBOX")
        imap.noop()
    assert own.select("INBOX")[0] == "OK"
    own.logout()
    assert "AUTHENTICATIONFAILED" in refused(
        world.imap().login, ANN, mail["password"])
    assert server.cli("account", "app-password", "revoke", ANN,
                      str(mail["id"]), check=False).returncode != 0
    assert [a["id"] for a in apps(server)] == [only_pop["id"]]


def totp(secret, at=None):
    counter = int((at or time.time()) // 30)
    mac = hmac.new(secret, struct.pack(">Q", counter), "sha1").digest()
    at = mac[-1] & 15
    return f"{(struct.unpack('>I', mac[at:at + 4])[0] & 0x7fffffff) % 10**6:06}"


def test_second_factor(world):
    server, carol = world.server, f"carol@{DOMAIN}"
    server.add_account(carol)
    app = add_app(server, carol)["password"]
    before = world.imap()
    before.login(carol, PASSWORD)
    url = json.loads(server.cli("account", "second-factor", "on", carol,
                                "--json").stdout)["url"]
    secret = base64.b32decode(re.fullmatch(
        r"otpauth://totp/Postrider:carol@example\.test\?secret=([A-Z2-7]{32})"
        r"&issuer=Postrider", url)[1])
    with pytest.raises(imaplib.IMAP4.error):
        before.select("INBOX")
        before.noop()
    imap = world.imap()
    assert "use an app password" in refused(imap.login, carol, PASSWORD)
    assert "use an app password" in refused(scram512, imap, PASSWORD, carol)
    assert imap.login(carol, app)[0] == "OK"
    imap.logout()
    pop = poplib.POP3_SSL("127.0.0.1", server.port("pop3s"),
                          context=world.context(), timeout=20)
    pop.user(carol)
    assert "use an app password" in refused(pop.pass_, PASSWORD)
    pop.user(carol)
    assert pop.pass_(app).startswith(b"+OK")
    pop.quit()
    smtp = smtplib.SMTP_SSL("127.0.0.1", server.port("submissions"),
                            context=world.context(), timeout=20)
    assert "app password" in refused(smtp.login, carol, PASSWORD)
    assert smtp.login(carol, app)[0] == 235
    smtp.quit()

    def verify(code):
        return server.cli("account", "second-factor", "verify", carol, code,
                          check=False).returncode

    code = totp(secret)
    assert verify(code) == 0
    assert verify(code) != 0		# once
    assert verify("12345") != 0
    assert verify(totp(secret, time.time() - 3600)) != 0
    # A new password: the app password goes on, with SCRAM, too.
    server.cli("account", "password", carol, "--password-stdin",
               input="another one\n")
    imap = world.imap()
    assert scram512(imap, app, carol)[0] == "OK"
    imap.logout()
    server.cli("account", "second-factor", "off", carol)
    imap = world.imap()
    assert scram512(imap, "another one", carol)[0] == "OK"
    imap.logout()


def test_referral(world):
    server, dave = world.server, f"dave@{DOMAIN}"
    server.add_account(dave)
    url = "imap://dave@mail.elsewhere.test/"
    server.cli("account", "referral", dave, url)
    imap = world.imap()
    assert b"LOGIN-REFERRALS" in imap.capability()[1][0].split()
    assert "AUTHENTICATIONFAILED" in refused(imap.login, dave, "wrong")
    assert f"[REFERRAL {url}]" in refused(imap.login, dave, PASSWORD)
    assert f"[REFERRAL {url}]" in refused(scram512, imap, PASSWORD, dave)
    pop = poplib.POP3_SSL("127.0.0.1", server.port("pop3s"),
                          context=world.context(), timeout=20)
    pop.user(dave)
    assert url in refused(pop.pass_, PASSWORD)
    assert server.cli("account", "referral", dave, "http://x",
                      check=False).returncode != 0
    assert server.cli("account", "referral", dave, "imap://x/ ]",
                      check=False).returncode != 0
    server.cli("account", "referral", dave)
    assert imap.login(dave, PASSWORD)[0] == "OK"
    imap.logout()


# -- compression

class Deflated:
    """A client's end of COMPRESS=DEFLATE over TLS."""

    def __init__(self, server):
        self.socket = server.tls_context().wrap_socket(
            socket.create_connection(
                ("127.0.0.1", server.port("imaps")), 20))
        self.out = self.inflate = None
        self.buffer = b""
        self.line()

    def begin(self):
        self.out = zlib.compressobj(9, zlib.DEFLATED, -15)
        self.inflate = zlib.decompressobj(-15)

    def send(self, data, flush=zlib.Z_SYNC_FLUSH):
        if self.out is not None:
            data = self.out.compress(data) + self.out.flush(flush)
        self.socket.sendall(data)

    def line(self):
        while b"\r\n" not in self.buffer:
            data = self.socket.recv(65536)
            assert data, "closed"
            self.buffer += data if self.inflate is None \
                else self.inflate.decompress(data)
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line.decode()

    def ask(self, tag, command, flush=zlib.Z_SYNC_FLUSH):
        self.send(f"{tag} {command}\r\n".encode(), flush)
        lines = [self.line()]
        while not lines[-1].startswith(tag + " "):
            lines.append(self.line())
        return lines


def test_compress(world):
    c = Deflated(world.server)
    assert "BAD" in c.ask("a", "COMPRESS DEFLATE")[-1]
    assert "COMPRESS=DEFLATE" in c.ask(
        "b", f'LOGIN {ANN} "{PASSWORD}"')[-1]
    assert "BAD" in c.ask("c", "COMPRESS LZ4")[-1]
    assert c.ask("d", "COMPRESS DEFLATE")[-1].startswith("d OK")
    c.begin()
    assert "COMPRESSIONACTIVE" in c.ask("e", "COMPRESS DEFLATE")[-1]
    flushes = [zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH, zlib.Z_PARTIAL_FLUSH]
    for i in range(60):
        body = f"Subject: {i}\r\n\r\n" + f"line {i}\r\n" * 500
        c.send(f"f{i} APPEND INBOX {{{len(body)}+}}\r\n{body}\r\n".encode(),
               flushes[i % 3])
        assert c.line().startswith(f"f{i} OK")
    lines = c.ask("g", "SELECT INBOX")
    assert "* 60 EXISTS" in lines
    c.send(b"h FETCH 1:* BODY.PEEK[]\r\n")
    while not c.line().startswith("h OK"):
        pass
    # Parked in IDLE, with the compressor given back, and told of news.
    assert c.ask("i", "NOOP")[-1].startswith("i OK")
    c.send(b"j IDLE\r\n")
    assert c.line().startswith("+")
    other = world.imap()
    other.login(ANN, PASSWORD)
    for n in range(61, 64):
        other.append("INBOX", None, None, b"Subject: x\r\n\r\nnew\r\n")
        while c.line() != f"* {n} EXISTS":
            pass
    other.logout()
    c.send(b"DONE\r\n")
    while not c.line().startswith("j OK"):
        pass
    # A session may change hands; compression stays.
    assert c.ask("k", "UNAUTHENTICATE")[-1].startswith("k OK")
    assert "BAD" in c.ask("l", "STARTTLS")[-1]
    assert c.ask("m", f'LOGIN {BOB} "{PASSWORD}"')[-1].startswith("m OK")
    assert c.ask("n", "LOGOUT")[-1].startswith("n OK")
    c.socket.close()


def test_compressed_garbage(world):
    c = Deflated(world.server)
    c.ask("b", f'LOGIN {ANN} "{PASSWORD}"')
    c.ask("d", "COMPRESS DEFLATE")
    c.socket.sendall(b"\xff" * 100)
    with contextlib.suppress(OSError):
        while c.socket.recv(65536):
            pass
    c.socket.close()
    again = world.imap()
    assert again.login(ANN, PASSWORD)[0] == "OK"
    again.logout()


# -- settings that cannot be meant

def test_keys_that_cannot_be_read(world, tmp_path):
    with open(world.server.config, "a") as f:
        f.write(f'\noauth {{ keys = "{tmp_path}/nothing.json"; }}\n')
    world.server.process.send_signal(1)
    eventually(lambda: "supervisor.reload_refused" in world.server.log())
    assert try_imap(world, "OAUTHBEARER", bearer(world.token())) is None
