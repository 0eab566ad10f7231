"""Conversation scripts: what a client sends, what the server must say.

A script is a text file below test/talk/, one step a line:

    # a comment                        (blank lines are nothing)
    settings LINE                      a line of configuration, before start
    account NAME                       beside ann and bob
    open NAME PORT                     a connection, e.g. `open a imap`
    NAME> text                         send text and CRLF
    NAME>> text                        send exactly this; \\r \\n \\0 \\t \\xHH \\\\
    NAME>* COUNT text                  send this, escaped, COUNT times
    NAME< regex                        the next line is this, whole
    NAME<< regex                       skip lines until one is this
    NAME<! regex                       as <<, but none of the skipped lines may
                                       match the regexes given with `never NAME`
    never NAME regex                   see <!; `never NAME` alone: forget them
    NAME literal COUNT                 read exactly COUNT bytes, then go on
    NAME tls                           a TLS handshake on this connection
    NAME eof                           the server closes, with nothing more
    NAME reset                         as eof; a reset is fine as well
    NAME close                         we close
    NAME shutdown                      we close our sending half
    wait SECONDS                       only where time itself is the matter

The name may be left out where there is one connection: `> NOOP`, `< 250 .*`.
In all texts {plain:USER} is the SASL PLAIN answer of USER at example.test, {password} the
password; in regexes (?P<x>...) keeps a group, used later as {x}. Each script
runs against a server of its own with the real roles.
"""
import os
import re
import socket
import time

from harness import DOMAIN, PASSWORD, Postrider, sasl_plain

TIMEOUT = 15
STEP = re.compile(r"(?P<name>\w*)(?P<op>>>|>\*|>|<<|<!|<)(?: (?P<text>.*))?$")


def unescape(text):
    return re.sub(
        r"\\(x[0-9A-Fa-f]{2}|.)",
        lambda m: {"r": "\r", "n": "\n", "0": "\0", "t": "\t"}.get(
            m[1], chr(int(m[1][1:], 16)) if m[1][0] == "x" and len(m[1]) == 3
            else m[1]), text)


class Line:
    """One connection of a script."""

    def __init__(self, port, context):
        self.context = context
        self.socket = socket.create_connection(("127.0.0.1", port), TIMEOUT)
        self.socket.settimeout(TIMEOUT)
        self.buffer = b""
        self.never = []

    def send(self, data):
        self.socket.sendall(data)

    def fill(self):
        data = self.socket.recv(65536)
        self.buffer += data
        return bool(data)

    def line(self):
        while b"\n" not in self.buffer:
            if not self.fill():
                raise AssertionError(f"closed; before that: {self.buffer!r}")
        line, self.buffer = self.buffer.split(b"\n", 1)
        if not line.endswith(b"\r"):
            raise AssertionError(f"a line without CR: {line!r}")
        return line[:-1].decode("utf-8", "surrogateescape")

    def literal(self, count):
        while len(self.buffer) < count:
            if not self.fill():
                raise AssertionError("closed inside a literal")
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def tls(self):
        if self.buffer:
            raise AssertionError(f"before TLS came {self.buffer!r}")
        self.socket = self.context.wrap_socket(
            self.socket, server_hostname="localhost")

    def eof(self, reset_is_fine):
        try:
            while self.fill():
                pass
        except ConnectionResetError:
            if not reset_is_fine:
                raise
        if self.buffer and not reset_is_fine:
            raise AssertionError(f"instead of a close: {self.buffer!r}")


class Talk:
    def __init__(self, path):
        with open(path, encoding="utf-8") as f:
            self.steps = [(n, s.rstrip("\n")) for n, s in enumerate(f, 1)
                          if s.strip() and not s.startswith("#")]
        self.lines = {}
        self.kept = {"password": PASSWORD}

    def fill_in(self, text):
        text = re.sub(r"\{plain:(\w+)\}", lambda m: sasl_plain(
            f"{m[1]}@{DOMAIN}"), text)
        for name, value in self.kept.items():
            text = text.replace("{" + name + "}", value)
        return text

    def run(self):
        settings = "\n".join(s[9:] for _, s in self.steps
                             if s.startswith("settings "))
        accounts = ["ann", "bob"] + [s.split()[1] for _, s in self.steps
                                     if s.startswith("account ")]
        with Postrider(accounts, settings) as self.server:
            for number, step in self.steps:
                try:
                    self.step(step)
                except Exception as error:
                    raise AssertionError(
                        f"line {number}: {step}\n{error!r}") from error

    def step(self, step):
        word = step.split()
        if word[0] in ("settings", "account"):
            return
        if word[0] == "open":
            self.lines[word[1]] = Line(self.server.port(word[2]),
                                       self.server.tls_context())
            return
        if word[0] == "wait":
            time.sleep(float(word[1]))
            return
        if word[0] == "never":
            line = self.named(word[1])
            line.never = (line.never + [step.split(None, 2)[2]]
                          if len(word) > 2 else [])
            return
        match = STEP.match(step)
        if match:
            self.exchange(self.named(match["name"]), match["op"],
                          match["text"] or "")
            return
        line = self.named(word[0] if len(word) > 1 else "")
        verb = word[1] if len(word) > 1 else word[0]
        if verb == "literal":
            self.kept["literal"] = line.literal(
                int(self.fill_in(word[2]))).decode("latin-1")
        elif verb == "tls":
            line.tls()
        elif verb in ("eof", "reset"):
            line.eof(verb == "reset")
        elif verb == "close":
            line.socket.close()
        elif verb == "shutdown":
            line.socket.shutdown(socket.SHUT_WR)
        else:
            raise AssertionError("no such step")

    def named(self, name):
        if name:
            return self.lines[name]
        if len(self.lines) != 1:
            raise AssertionError("which connection?")
        return next(iter(self.lines.values()))

    def exchange(self, line, op, text):
        if op == ">":
            line.send(self.fill_in(text).encode() + b"\r\n")
        elif op == ">>":
            line.send(unescape(self.fill_in(text)).encode("latin-1"))
        elif op == ">*":
            count, text = text.split(" ", 1)
            line.send(unescape(text).encode("latin-1") * int(count))
        else:
            self.expect(line, self.fill_in(text), op)

    def expect(self, line, regex, op):
        skipped = []
        while True:
            said = line.line()
            match = re.fullmatch(regex, said)
            if match:
                self.kept.update({k: v for k, v in match.groupdict().items()
                                  if v is not None})
                return
            if op == "<":
                raise AssertionError(f"said {said!r}")
            if op == "<!" and any(re.fullmatch(n, said) for n in line.never):
                raise AssertionError(f"said {said!r}, which must not be")
            skipped.append(said)
            if len(skipped) > 10000:
                raise AssertionError(f"never came; last: {skipped[-3:]}")


def scripts():
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "talk")
    return sorted(os.path.join(folder, f) for f in os.listdir(folder)
                  if f.endswith(".talk"))
