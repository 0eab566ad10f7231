#!/usr/bin/python3
"""A mailbox as people have them, the same each time: what the IMAP rows of
the bench read, sort and search.

    bench/messages.py fill HOST PORT LOGIN PASSWORD COUNT [MAILBOX]

The messages are of twelve KiB on average: plain texts, alternatives with
HTML, and a share with attachments; two in three belong to a thread. Words
are drawn from a vocabulary as in a language, few of them often and most of
them seldom.
"""
import base64
import itertools
import random
import socket
import sys
import time

EPOCH = 1262304000              # the first is of 2010-01-01
VOCABULARY = 40000
SYLLABLES = ("ba be bi bo bu da de di do du fa fe fi ga ge go ha he hi ho ka "
             "ke ki ko la le li lo lu ma me mi mo mu na ne ni no pa pe pi po "
             "ra re ri ro ru sa se si so su ta te ti to tu va ve vi vo").split()
WINDOW = 512 << 10              # bytes that may be on their way, unanswered


class Words:
    """The vocabulary: the rank of a word says how often it comes."""

    def __init__(self, rnd):
        self.words = list(dict.fromkeys(
            "".join(rnd.choices(SYLLABLES, k=1 + i.bit_length() // 4))
            + ("" if i < 50 else rnd.choice(("", "n", "r", "st", "ng")))
            for i in range(1, VOCABULARY)))
        self.weights = list(itertools.accumulate(
            1 / (i + 2.7) for i in range(len(self.words))))
        self.rnd = rnd

    def some(self, count):
        return self.rnd.choices(self.words, cum_weights=self.weights, k=count)


def date(seconds):
    return time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime(seconds))


def lines(words, width=12):
    return "\r\n".join(" ".join(words[i:i + width])
                       for i in range(0, len(words), width)) + "\r\n"


def messages(count, seed=1):
    """(seconds, bytes) of each, oldest first."""
    rnd = random.Random(seed)
    vocabulary = Words(rnd)
    people = [(" ".join(w.capitalize() for w in vocabulary.some(2)),
               f"{rnd.choice(vocabulary.words)}{i}@"
               f"{rnd.choice(vocabulary.words[:300])}.example")
              for i in range(2000)]
    # Pieces that texts are made of: drawing each word anew would take longer
    # than what is measured.
    pieces = [lines(vocabulary.some(84)) for _ in range(3000)]
    binary = [base64.encodebytes(rnd.randbytes(5700)).replace(b"\n", b"\r\n")
              .decode() for _ in range(64)]
    threads = []                # (subject, ids)
    for n in range(count):
        when = EPOCH + n * 300 + rnd.randrange(300)
        ident = f"<{n:08x}.{rnd.getrandbits(64):016x}@mail.example>"
        references = ""
        if threads and rnd.random() < 0.66:
            subject, ids = threads[rnd.randrange(len(threads))]
            references = (f"In-Reply-To: {ids[-1]}\r\nReferences: "
                          + "\r\n ".join(ids[-10:]) + "\r\n")
            ids.append(ident)
            subject = "Re: " + subject
        else:
            subject = " ".join(vocabulary.some(rnd.randint(2, 8)))
            threads.append((subject, [ident]))
            if len(threads) > 500:
                threads.pop(rnd.randrange(len(threads)))
        name, address = rnd.choice(people)
        to = rnd.sample(people, rnd.choice((1, 1, 1, 2, 3, 6)))
        head = (
            f"Return-Path: <{address}>\r\n"
            f"Received: from mx.{address.partition('@')[2]} (192.0.2.7)\r\n"
            f"\tby mail.example with ESMTPS id {n:08X}; {date(when)}\r\n"
            f"From: {name} <{address}>\r\n"
            "To: " + ",\r\n\t".join(f"\"{p}\" <{a}>" for p, a in to) + "\r\n"
            f"Subject: {subject}\r\nDate: {date(when)}\r\n"
            f"Message-ID: {ident}\r\n{references}MIME-Version: 1.0\r\n")
        text = "\r\n".join(rnd.choices(pieces, k=rnd.choice((2, 4, 6, 14))))
        kind = rnd.random()
        if kind < 0.35:
            body = ("Content-Type: text/plain; charset=utf-8\r\n\r\n" + text)
        else:
            edge = f"=_{rnd.getrandbits(64):016x}"
            html = text.replace("\r\n\r\n", "</p>\r\n<p>")
            body = (
                f"Content-Type: multipart/mixed; boundary=\"{edge}\"\r\n\r\n"
                f"--{edge}\r\nContent-Type: multipart/alternative; "
                f"boundary=\"{edge}a\"\r\n\r\n"
                f"--{edge}a\r\nContent-Type: text/plain; charset=utf-8\r\n"
                f"\r\n{text}\r\n"
                f"--{edge}a\r\nContent-Type: text/html; charset=utf-8\r\n"
                f"\r\n<html><body><p>{html}</p></body></html>\r\n"
                f"--{edge}a--\r\n")
            for i in range(rnd.choice((1, 2, 4)) if kind > 0.8 else 0):
                body += (
                    f"--{edge}\r\nContent-Type: application/pdf; "
                    f"name=\"paper{i}.pdf\"\r\nContent-Disposition: "
                    f"attachment; filename=\"paper{i}.pdf\"\r\n"
                    "Content-Transfer-Encoding: base64\r\n\r\n"
                    + rnd.choice(binary))
            body += f"\r\n--{edge}--\r\n"
        yield when, (head + body).encode()


class Filler:
    """One connection that appends without waiting for each answer."""

    def __init__(self, host, port, login, password):
        self.socket = socket.create_connection((host, port), 60)
        self.input = self.socket.makefile("rb")
        self.input.readline()
        self.command(f'LOGIN "{login}" "{password}"')

    def answer(self, tag):
        while True:
            line = self.input.readline()
            if not line:
                raise SystemExit("fill: the connection was lost")
            if line.startswith(tag + b" "):
                if not line.startswith(tag + b" OK"):
                    raise SystemExit(f"fill: {line!r}")
                return

    def command(self, text):
        self.socket.sendall(b"c " + text.encode() + b"\r\n")
        self.answer(b"c")

    def fill(self, count, mailbox="INBOX", seed=1):
        waiting, bytes_waiting = [], 0
        for n, (when, message) in enumerate(messages(count, seed)):
            tag = b"a%d" % n
            stamp = time.strftime("%d-%b-%Y %H:%M:%S +0000",
                                  time.gmtime(when))
            self.socket.sendall(
                b"%s APPEND \"%s\" \"%s\" {%d+}\r\n" % (
                    tag, mailbox.encode(), stamp.encode(), len(message))
                + message + b"\r\n")
            waiting.append((tag, len(message)))
            bytes_waiting += len(message)
            while bytes_waiting > WINDOW:
                tag, size = waiting.pop(0)
                self.answer(tag)
                bytes_waiting -= size
            if sys.stderr.isatty() and n % 500 == 0:
                sys.stderr.write(f"\rfill: {n} of {count}")
        for tag, _ in waiting:
            self.answer(tag)
        if sys.stderr.isatty():
            sys.stderr.write("\r\033[K")


def main():
    if len(sys.argv) not in (7, 8) or sys.argv[1] != "fill":
        raise SystemExit(__doc__)
    host, port, login, password, count = sys.argv[2:7]
    filler = Filler(host, int(port), login, password)
    filler.fill(int(count), *sys.argv[7:8])
    filler.command("LOGOUT")


if __name__ == "__main__":
    main()
