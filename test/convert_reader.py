#!/usr/bin/env python3
"""Messages converted to seven bits, read by Python's own email package: every
part has the same bytes, type and name as before. Arguments: the filter."""

import email
import email.policy
import random
import subprocess
import sys

WORDS = ["plain", "caf\u00e9", "na\u00efve", "\u65e5\u672c\u8a9e", "=", ".",
         "--b", "From me", "x" * 200, "tab\tand ", "\u20ac" * 30]


def text(rng):
    lines = [" ".join(rng.choices(WORDS, k=rng.randint(0, 12)))
             for _ in range(rng.randint(0, 12))]
    return "\r\n".join(lines).encode()


def leaf(rng):
    kind = rng.randrange(4)
    if kind == 0:
        return b"Content-Type: text/plain; charset=utf-8\r\n" \
            b"Content-Transfer-Encoding: 8bit\r\n\r\n" + text(rng)
    if kind == 1:
        return b'Content-Type: image/png; name="a.png"\r\n' \
            b"Content-Transfer-Encoding: binary\r\n" \
            b"Content-Disposition: attachment; filename=a.png\r\n\r\n" + \
            bytes(rng.choices(range(256), k=rng.randint(0, 400))) + b"."
    if kind == 2:
        return b"Content-Type: text/html; charset=iso-8859-1\r\n\r\n" + \
            b"h\xe9llo" * rng.randint(0, 50)
    return b"Content-Type: text/plain\r\n\r\nonly seven bits\r\n"


def part(rng, depth):
    kind = rng.randrange(5) if depth < 4 else 4
    if kind == 0:
        boundary = b"b%d-%d" % (depth, rng.randrange(10 ** 9))
        body = b"".join(b"--" + boundary + b"\r\n" + part(rng, depth + 1) +
                        b"\r\n" for _ in range(rng.randint(1, 4)))
        return b"Content-Type: multipart/mixed; boundary=" + boundary + \
            b"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + body + \
            b"--" + boundary + b"--\r\n"
    if kind == 1:
        return b"Content-Type: message/rfc822\r\n\r\nSubject: within\r\n" \
            b"MIME-Version: 1.0\r\n" + part(rng, depth + 1)
    return leaf(rng)


def leaves(message):
    found = []
    for p in email.message_from_bytes(message,
                                      policy=email.policy.compat32).walk():
        if not p.is_multipart():
            # A line end more or less is the boundary's, to some readers.
            found.append((p.get_content_type(), p.get_filename(),
                          p.get_payload(decode=True)))
    return found


def is_7bit(message):
    return max(message, default=0) < 128 and b"\0" not in message and all(
        len(line) <= 998 and b"\r" not in line and b"\n" not in line
        for line in message.split(b"\r\n"))


def main(command):
    for seed in range(300):
        rng = random.Random(seed)
        message = b"From: a@example.test\r\nMIME-Version: 1.0\r\n" + \
            part(rng, 0)
        out = subprocess.run(command, input=message, check=True,
                             stdout=subprocess.PIPE).stdout
        assert is_7bit(out), seed
        before, after = leaves(message), leaves(out)
        assert len(before) == len(after), seed
        for a, b in zip(before, after):
            assert a == b, (seed, a, b)


main(sys.argv[1:])
